export const LOG_LEVELS = ["silent", "fatal", "error", "warn", "info", "debug", "trace"] as const;

/** Every setting, and what it says. */
export const ENVIRONMENT = {
  LICET_ORIGIN: "the origin the world sees, such as https://licet.example.org (default: http://localhost:<port>)",
  LICET_HOST: "the address to listen on (default: 127.0.0.1)",
  LICET_PORT: "the port to listen on; 0 picks a free one and needs no LICET_ORIGIN (default: 4242)",
  LICET_DATA_DIR: "the folder for the embedded database and the master key (default: ./data)",
  LICET_JOURNAL_DIR:
    "the folder for the journal of refusals that a restore replays; best on another disk (default: journal in the data folder)",
  DATABASE_URL: "a PostgreSQL connection string; without it the embedded database is used",
  LICET_MASTER_KEY:
    "32 bytes in base64url that seal private keys and secrets (default: a 0600 file in the data folder)",
  LICET_MASTER_KEY_FILE: "a 0600 file with them, made at the first start (default: master.key in the data folder)",
  LICET_NEW_MASTER_KEY: "32 bytes in base64url for licet keys rewrap, which seals everything anew with them",
  LICET_NEW_MASTER_KEY_FILE: "a 0600 file with them, made by licet keys rewrap when it is not there",
  LICET_MODE:
    "live, or test: everything that is signed says test: true, and live readers refuse it; a database keeps its mode (default: live)",
  LICET_LOG_LEVEL: `one of ${LOG_LEVELS.join(" ")} (default: info)`,
  LICET_ALLOW_HOSTS: "host:port pairs, separated by commas, that webhooks and registrations may reach without https",
  LICET_MAX_SOURCE_MEGABYTES: "the largest work that is read from its URL when it is registered (default: 2048)",
  LICET_TEMPORARY_MEGABYTES:
    "what works that are read from their URLs may take of the temporary folder together (default: twice LICET_MAX_SOURCE_MEGABYTES)",
  LICET_SESSION_HOURS: "how long a creator's session lasts (default: 12)",
  LICET_RATE_LIMITS:
    "off, or requests per seconds such as reading=30000/60,bulk=off for anonymous, reading, writing, bulk, revoking, tokens (docs/operations.md#limits has the defaults)",
  LICET_INTERACTION_RETENTION_DAYS: "how long the interaction log is kept, by whole months (default: 365)",
  LICET_PROPAGATION_DAYS:
    "over how many days, 1 to 90, /propagation.json says how long refusals took to get everywhere (default: 30)",
  LICET_COMPACTION_AFTER_HOURS:
    "how long after a dataset lost works its next version without them is published by itself; 0 means never (default: 24)",
  LICET_KEY_ROTATION_DAYS:
    "at what age, 30 to 700, the platform's keys are handed over by themselves; 0 means shortly before the end of their two years only (default: 365)",
  LICET_PLATFORM_FEE_BPS:
    "the platform's fee in basis points (100 are 1 %) of datasets that name none in revenue_split (default: 0)",
  LICET_CLOSE_AFTER_HOURS:
    "how long after its end a month is closed and what datasets earned is shared out; 0 means by hand (default: 72)",
  LICET_PAYOUT_HOLD_DAYS: "how long what a creator was credited waits before it is paid out (default: 7)",
  LICET_PAYOUT_MINIMUM_MICROS:
    "the least that is paid out, in micro-units: one number for all currencies, or EUR=10000000,JPY=1000000000 with an optional number for the others (default: 10000000)",
  LICET_PAYOUT_DAY:
    "the day of the month, 1 to 28, on which payout batches are made by themselves; 0 means by hand (default: 0)",
  LICET_PAYOUT_INTERVAL_MS: "how often it is looked for payouts that are due (default: 2000)",
  LICET_PAYOUT_LEASE_SECONDS:
    "how long a payout that is being sent is nobody else's to send; what a server held that is gone waits that long (default: 30)",
  LICET_PAYOUT_DIR: "the folder for payout files of the csv adapter (default: payouts in the data folder)",
  LICET_STRIPE_SECRET_KEY: "the secret or restricted key of Stripe's API, which turns on the stripe adapter",
  LICET_STRIPE_SECRET_KEY_FILE: "a file with that key, instead of the setting",
  LICET_STRIPE_WEBHOOK_SECRET: "the signing secret (whsec_…) of the webhook endpoint that Stripe calls",
  LICET_STRIPE_WEBHOOK_SECRET_FILE: "a file with that secret, instead of the setting",
  LICET_STRIPE_API: "where Stripe's API is (default: https://api.stripe.com)",
  LICET_INVOICE_DUE_DAYS: "how long marketplaces have to pay an invoice (default: 30)",
  LICET_PURGES:
    "caches that forget what was taken back: cloudflare:<zone id>@<domain>, fastly:<service id>@<domain>, varnish:http://<host>:<port>, separated by commas, or none (default: none)",
  LICET_CLOUDFLARE_TOKEN: "an API token with Zone, Cache Purge, Purge for these zones",
  LICET_CLOUDFLARE_TOKEN_FILE: "a file with that token, instead of the setting",
  LICET_CLOUDFLARE_PLAN: "free, pro, business or enterprise: how fast the account may purge (default: free)",
  LICET_CLOUDFLARE_API: "where Cloudflare's API is (default: https://api.cloudflare.com)",
  LICET_FASTLY_TOKEN: "an API token with the scope purge_select",
  LICET_FASTLY_TOKEN_FILE: "a file with that token, instead of the setting",
  LICET_FASTLY_API: "where Fastly's API is (default: https://api.fastly.com)",
  LICET_EDGES: "origins of licet edges, separated by commas, that are told at once what was taken back (default: none)",
  LICET_RECONCILE_HOURS:
    "how often licenses, receipts, interactions and ledger are compared; 0 means when asked to (default: 24)",
  LICET_UNREPORTED_DAYS:
    "how many days a license, or whoever read a dataset's items, may go without a receipt before that is a finding (default: 30)",
  LICET_UNSPLIT_DAYS:
    "how many days after a month's end what datasets earned may wait to be shared out before that is a finding (default: 10)",
  LICET_MODELS_HOURS:
    "how often the lists of models that marketplaces publish are read and compared with licenses; 0 means never (default: 24)",
  LICET_REMEDIATION_DAYS: "how long a remediation may take until it is flagged as overdue (default: 30)",
  LICET_RECEIPT_PULL_MINUTES:
    "how often marketplaces that gave a platform_token are asked for their receipts; 0 means when POST /api/v1/marketplaces/{id}/receipt-pulls says so (default: 60)",
  LICET_DRAIN_SECONDS: "how long a stop waits for open requests (default: 10)",
  LICET_UNREADY_SECONDS:
    "how long a stop still takes requests while /readyz answers 503, so that a load balancer looks elsewhere first (default: 0)",
  LICET_DATABASE_POOL: "connections to PostgreSQL at once (default: 10)",
  LICET_STATEMENT_SECONDS: "how long PostgreSQL may work on one statement (default: 60)",
  LICET_LOCK_SECONDS: "how long one statement may wait for locks (default: 20)",
  LICET_IDLE_TRANSACTION_SECONDS: "when PostgreSQL ends a transaction that nobody goes on with (default: 60)",
  LICET_COPIES_DIR: "a folder for copies of the public documents, which any web server can serve (default: none)",
  LICET_DOCUMENT_MEMORY_MB: "how much memory copies of documents may take (default: 256)",
  LICET_TLS_CERT: "a PEM file with the certificate and its chain, for TLS by this server; read again when it changes",
  LICET_TLS_KEY: "a PEM file with the certificate's private key",
  LICET_MTLS_PORT: "a second port that asks clients for a certificate; needs LICET_TLS_CERT",
  LICET_MTLS_CA: "a PEM file with the authorities whose certificates tls_client_auth accepts",
  LICET_TRUSTED_PROXIES:
    "IP addresses and CIDR ranges, separated by commas, of proxies whose X-Forwarded-For, Forwarded and Client-Cert are believed",
  LICET_MAX_CONNECTIONS: "how many connections are open at most (default: 10000)",
  LICET_MAX_CONNECTIONS_PER_ADDRESS: "how many of them from one address (default: 256)",
  LICET_HEADERS_SECONDS: "how long a client may take to send a request's headers (default: 15)",
  LICET_REQUEST_SECONDS: "how long a client may take to send a whole request (default: 120)",
  LICET_METRICS_PORT:
    "a port on 127.0.0.1 that answers /metrics without a token; anywhere else it asks for the operator's or a client's with metrics:read (default: none)",
  OTEL_EXPORTER_OTLP_ENDPOINT: "an OpenTelemetry collector for traces (OTLP over HTTP, JSON); none means no traces",
  OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "the same as the whole URL for traces",
  OTEL_EXPORTER_OTLP_HEADERS: "headers for the collector: name=value pairs, percent-encoded, separated by commas",
  OTEL_SERVICE_NAME: "what traces call this server (default: licet)",
  OTEL_TRACES_SAMPLER_ARG: "the share of traces that is sent, from 0 to 1 (default: 1)",
  OTEL_SDK_DISABLED: "true sends no traces (default: false)",
  LICET_EXIT_WITH_PARENT: "1 stops the server when its standard input closes (default: 0)",
} as const;
