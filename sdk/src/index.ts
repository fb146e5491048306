export * from "./api-answers.ts";
export * from "./api-requests.ts";
export * from "./catch-up.ts";
export { type CheckDatasetOptions, type ManifestPlace, checkDataset, readManifestUrl } from "./check-dataset.ts";
export type { ClientOptions } from "./authorized-calls.ts";
export * from "./client.ts";
export {
  type CheckOutcome,
  DATASET_CHECKS,
  type DatasetCheck,
  type DatasetCheckId,
  type DatasetReport,
  type DatasetSummary,
  type SeenSequences,
  type VerifiedItem,
} from "./dataset-report.ts";
export { type DatasetSource, type HttpSourceOptions, httpSource } from "./dataset-source.ts";
export {
  type Accepting,
  type Agreement,
  type FreshToken,
  type IssuedLicense,
  type License,
  type LicenseCalls,
  type LicenseOutcome,
  type LicenseQuery,
  type LicenseRequest,
  type LicenseWish,
  type Patience,
} from "./licenses.ts";
export * from "./limits.ts";
export * from "./present-license.ts";
export { MAX_RECEIPTS_PER_CALL, type ReceiptResult } from "./receipt-lines.ts";
export { type Answer, type LicetProblem, parseAnswer, parseProblem } from "./problem.ts";
export {
  type NewOffer,
  type Remediation,
  type RemediationCalls,
  type RemediationMessage,
  type RemediationOffer,
  type RemediationQuery,
} from "./remediations.ts";
export type { Acknowledgement, RevocationCalls, RevocationTimeline } from "./revocations.ts";
export * from "./send.ts";
export * from "./sign-receipt.ts";
export { type ConsentEvidence, type ConsentTrust, type VerifiedConsent, verifyConsent } from "./verify-consent.ts";
export * from "./verify-dataset.ts";
export * from "./verify-webhook.ts";
export * from "./webhook-receiver.ts";
