export { AUTHORIZATION, type RouteName, type Rule } from "./http/authorization.ts";
export { type Config, ConfigError, ENVIRONMENT, readConfig } from "./config.ts";
export type { Clock, Context } from "./context.ts";
export { migrateOnly } from "./migrate-only.ts";
export type { RestoreReport } from "./backups/replay-journal.ts";
export { type RestoreRequest, restoreBackup } from "./restore-backup.ts";
export { type RunningServer, type ServerOptions, startServer } from "./start-server.ts";
