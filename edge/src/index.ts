export { type EdgeConfig, type Route, type RouteMode, type Settings, SettingsError, readEdgeConfig } from "./config.ts";
export { type Edge, type EdgeMemory, type Verdict, createEdge, createEdgeMemory } from "./edge.ts";
export type {
  CertificateFact,
  DocumentCache,
  EdgePorts,
  EdgeRequest,
  FetchLimits,
  Fetched,
  HeldDocument,
  LogEntry,
} from "./ports.ts";
