export type {
  Consent,
  ConsentDraft,
  Creator,
  CreatorSession,
  Offer,
  PublishedDataset,
  RegisteredLine,
  Revocation,
  Work,
} from "./answers.ts";
export * from "./client.ts";
