import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from "prom-client";

/** A request that was answered, named by its route's template: a path could hold anything. */
export interface EndedRequest {
  readonly method: string;
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}

/** How many places a thing has, and how many of them are taken. */
export interface PoolState {
  readonly total: number;
  readonly idle: number;
  /** Whoever waits for a connection. */
  readonly waiting: number;
}

/** What is asked of the server when somebody reads the metrics. */
export interface MetricSources {
  readonly pool: () => PoolState | undefined;
  readonly isListenerCurrent: () => boolean;
  readonly journalFailingSinceMs: () => number | undefined;
  readonly nowMs: () => number;
  /** What only the database knows; throws when it does not answer. */
  readonly measureDatabase: () => Promise<DatabaseMeasures>;
}

/** What waits in the database, and how old it is. Ages in seconds; 0 when nothing waits. */
export interface DatabaseMeasures {
  readonly deliveries: { readonly waiting: number; readonly oldestSeconds: number; readonly overdueSeconds: number };
  /** By cache and edge. */
  readonly purges: readonly {
    readonly target: string;
    readonly waiting: number;
    readonly oldestSeconds: number;
    readonly failingSeconds: number;
  }[];
  readonly endpoints: { readonly failing: number; readonly disabled: number };
  readonly unhandled: readonly { readonly queue: string; readonly count: number; readonly oldestSeconds: number }[];
  readonly journal: { readonly waiting: number; readonly oldestSeconds: number };
  /** Of the event that has waited longest for a position in the feed. */
  readonly feedLagSeconds: number;
  /** Of the oldest order to render the content statuses of a dataset's works. */
  readonly contentStatusLagSeconds: number;
  readonly pendingOffers: number;
  /** What does not fit together, and when everything was last compared; undefined when it never was. */
  readonly reconciliation: {
    readonly open: readonly { readonly kind: string; readonly count: number }[];
    readonly lastDoneAt: number | undefined;
  };
  readonly keysListed: number;
  readonly keys: readonly { readonly purpose: string; readonly ageSeconds: number; readonly leftSeconds: number }[];
}

/** What this server counts about itself. No label holds an identifier, an address or anything a caller chose, but for caches and edges as the operator named them. */
export interface Metrics {
  readonly requestEnded: (request: EndedRequest) => void;
  readonly documentServed: (kind: string, from: "memory" | "database") => void;
  /** A fact that was committed, from its first query until it is in memory, and in the journal if it refuses something. */
  readonly factWritten: (fact: { readonly isRefusing: boolean; readonly seconds: number }) => void;
  readonly deliveryAttempted: (outcome: "delivered" | "refused" | "unreachable", seconds: number) => void;
  /** One target of a leg of a refusal, from the fact until it was there. */
  readonly refusalArrived: (leg: string, seconds: number) => void;
  /** A call to a cache or an edge, named as the operator configured it. */
  readonly purgeSent: (target: string, outcome: "confirmed" | "failed") => void;
  /** What an event made stale was confirmed to be gone, so long after the event. */
  readonly purgeConfirmed: (by: { readonly target: string; readonly leg: string }, seconds: number) => void;
  /** A sweep that is going to run again and again: its counters begin at 0. */
  readonly sweepPlanned: (sweep: string) => void;
  readonly sweepEnded: (sweep: string, run: { readonly isDone: boolean; readonly seconds: number }) => void;
  readonly rateLimited: (bucket: string) => void;
  readonly watch: (sources: MetricSources) => void;
  /** The Prometheus text format, version 0.0.4. */
  readonly render: () => Promise<string>;
}

export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

const REQUEST_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10];
const DELIVERY_BUCKETS = [0.05, 0.1, 0.5, 1, 2.5, 5, 10];
const REFUSAL_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 3_600];
const PURGE_BUCKETS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300];
const SWEEP_BUCKETS = [0.01, 0.1, 1, 10, 60];
/** Methods that are counted by name; any other is `other`. */
const METHODS: readonly string[] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/** Of the process, so there is one, however many servers are in it. */
let ofProcess: Registry | undefined;

function processRegistry(): Registry {
  if (ofProcess === undefined) {
    ofProcess = new Registry();
    collectDefaultMetrics({ register: ofProcess });
  }
  return ofProcess;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  const counted = createCounters(registry);
  const gauges = createGauges(registry);
  let sources: MetricSources | undefined;
  return {
    requestEnded: ({ method, route, status, seconds }) => {
      const known = METHODS.includes(method) ? method : "other";
      counted.requests.observe({ method: known, route, status: String(status) }, seconds);
    },
    documentServed: countedBy((kind, from) => counted.documents.labels(kind, from)),
    factWritten: ({ isRefusing, seconds }) => counted.facts.observe({ refusing: String(isRefusing) }, seconds),
    deliveryAttempted: (outcome, seconds) => counted.deliveries.observe({ outcome }, seconds),
    refusalArrived: (leg, seconds) => counted.refusals.observe({ leg }, seconds),
    purgeSent: (target, outcome) => counted.purgeCalls.inc({ target, outcome }),
    purgeConfirmed: ({ target, leg }, seconds) => counted.purges.observe({ target, leg }, seconds),
    sweepPlanned: (sweep) => {
      for (const outcome of ["done", "failed"]) counted.sweeps.zero({ sweep, outcome });
    },
    sweepEnded: (sweep, { isDone, seconds }) => {
      counted.sweeps.observe({ sweep, outcome: isDone ? "done" : "failed" }, seconds);
      if (isDone) counted.lastSweeps.set({ sweep }, Math.floor(Date.now() / 1_000));
    },
    rateLimited: (bucket) => counted.rateLimited.inc({ bucket }),
    watch: (watched) => {
      sources = watched;
    },
    render: async () => {
      if (sources !== undefined) await readGauges(gauges, sources);
      const [own, process] = await Promise.all([registry.metrics(), processRegistry().metrics()]);
      return `${own}\n${process}`;
    },
  };
}

/** Counts without looking the labels up each time: documents are served by the ten thousand. */
function countedBy(counterOf: (kind: string, from: string) => Counter.Internal): Metrics["documentServed"] {
  const counters = new Map<string, Counter.Internal>();
  return (kind, from) => {
    const name = `${from} ${kind}`;
    const counter = counters.get(name) ?? counterOf(kind, from);
    counters.set(name, counter);
    counter.inc();
  };
}

function createCounters(registry: Registry) {
  const registers = [registry];
  return {
    ...createRefusalCounters(registry),
    requests: new Histogram({
      name: "licet_http_request_duration_seconds",
      help: "Requests by route template and status",
      labelNames: ["method", "route", "status"],
      buckets: REQUEST_BUCKETS,
      registers,
    }),
    documents: new Counter({
      name: "licet_documents_served_total",
      help: "Public documents served, by kind, from memory or from the database",
      labelNames: ["kind", "from"],
      registers,
    }),
    facts: new Histogram({
      name: "licet_fact_duration_seconds",
      help: "Facts from the first query until everybody reads them; refusing=true are revocations and the like, journal included",
      labelNames: ["refusing"],
      buckets: REQUEST_BUCKETS,
      registers,
    }),
    deliveries: new Histogram({
      name: "licet_webhook_attempt_duration_seconds",
      help: "Attempts to deliver webhooks, by what came of them",
      labelNames: ["outcome"],
      buckets: DELIVERY_BUCKETS,
      registers,
    }),
    sweeps: new Histogram({
      name: "licet_sweep_duration_seconds",
      help: "Runs of what is done again and again",
      labelNames: ["sweep", "outcome"],
      buckets: SWEEP_BUCKETS,
      registers,
    }),
    lastSweeps: new Gauge({
      name: "licet_sweep_last_done_timestamp_seconds",
      help: "When a sweep last ended well",
      labelNames: ["sweep"],
      registers,
    }),
    rateLimited: new Counter({
      name: "licet_rate_limited_total",
      help: "Requests refused because a bucket was empty",
      labelNames: ["bucket"],
      registers,
    }),
  };
}

/** How refusals get everywhere. */
function createRefusalCounters(registry: Registry) {
  const registers = [registry];
  return {
    refusals: new Histogram({
      name: "licet_refusal_propagation_seconds",
      help: "From a refusal until it was somewhere, by leg: committed, purge, edge, webhook, acknowledgement",
      labelNames: ["leg"],
      buckets: REFUSAL_BUCKETS,
      registers,
    }),
    purges: new Histogram({
      name: "licet_purge_confirmed_seconds",
      help: "From a fact that takes something back until a cache (leg=purge) or an edge (leg=edge) confirmed it",
      labelNames: ["target", "leg"],
      buckets: PURGE_BUCKETS,
      registers,
    }),
    purgeCalls: new Counter({
      name: "licet_purge_calls_total",
      help: "Calls to caches and edges, by what came of them",
      labelNames: ["target", "outcome"],
      registers,
    }),
  };
}

/** Every gauge that is read when somebody asks: its name, what it says, its labels. */
const GAUGES = {
  databaseUp: ["licet_database_up", "1 when the database answered this scrape"],
  poolConnections: ["licet_database_pool_connections", "Connections of the pool", "state"],
  poolWaiting: ["licet_database_pool_waiting", "Requests that wait for a connection"],
  listenerCurrent: ["licet_listener_current", "1 when the copies in memory are known to be current"],
  journalFailing: ["licet_journal_failing_seconds", "How long the journal could not be written; 0 when it can"],
  journalWaiting: ["licet_journal_waiting", "Entries that are in the database and not yet forgotten there"],
  journalLag: ["licet_journal_lag_seconds", "Age of the oldest of them"],
  deliveriesWaiting: [
    "licet_webhook_deliveries_waiting",
    "Deliveries that wait, retries included; counted up to 100000",
  ],
  deliveriesOldest: ["licet_webhook_oldest_waiting_seconds", "Age of the oldest of them"],
  deliveriesOverdue: ["licet_webhook_overdue_seconds", "How long the next delivery has been due"],
  endpointsFailing: ["licet_webhook_endpoints_failing", "Endpoints in use that take nothing at present"],
  endpointsDisabled: [
    "licet_webhook_endpoints_disabled",
    "Endpoints that were disabled because they failed or are gone",
  ],
  purgesWaiting: ["licet_purges_waiting", "Parts that a cache or an edge has not confirmed", "target"],
  purgesOldest: ["licet_purge_oldest_waiting_seconds", "Age of the event of the oldest of them", "target"],
  purgesFailing: ["licet_purge_failing_seconds", "How long nothing was confirmed; 0 when the last was", "target"],
  eventsUnhandled: ["licet_events_unhandled", "Events that a queue has not dealt with", "queue"],
  eventsLag: ["licet_events_lag_seconds", "Age of the oldest of them", "queue"],
  feedLag: ["licet_feed_lag_seconds", "Age of the oldest event that has no position in the feed yet"],
  contentStatusLag: [
    "licet_content_status_lag_seconds",
    "Age of the oldest order to render the content statuses of a dataset; edges refuse works that have none",
  ],
  offersPending: ["licet_dataset_offers_pending", "Offers that marketplaces have not registered yet"],
  findings: ["licet_reconciliation_findings", "Open findings of the reconciliation", "kind"],
  reconciled: [
    "licet_reconciliation_last_done_timestamp_seconds",
    "When a reconciliation last ended well; 0 when none did",
  ],
  keyAge: ["licet_signing_key_age_seconds", "Age of the key that signs", "purpose"],
  keysListed: ["licet_key_set_keys", "Keys in the key set, which keeps them all; beyond 900 none is made"],
  keyLeft: ["licet_signing_key_left_seconds", "How long the key that signs is still valid", "purpose"],
} as const satisfies Record<string, readonly [name: string, help: string, label?: string]>;

type GaugeName = keyof typeof GAUGES;
type Gauges = ReadonlyMap<GaugeName, Gauge>;

function createGauges(registry: Registry): Gauges {
  const entries = Object.entries<readonly [string, string, string?]>(GAUGES).map(([key, [name, help, label]]) => [
    key,
    new Gauge({ name, help, labelNames: label === undefined ? [] : [label], registers: [registry] }),
  ]);
  return new Map(entries as [GaugeName, Gauge][]);
}

const LABELLED = [
  "findings",
  "purgesWaiting",
  "purgesOldest",
  "purgesFailing",
  "eventsUnhandled",
  "eventsLag",
  "keyAge",
  "keyLeft",
] as const satisfies readonly GaugeName[];

async function readGauges(gauges: Gauges, sources: MetricSources): Promise<void> {
  const set = (name: GaugeName, value: number, labels: Record<string, string> = {}): void =>
    gauges.get(name)?.set(labels, value);
  const pool = sources.pool();
  if (pool !== undefined) {
    set("poolConnections", pool.idle, { state: "idle" });
    set("poolConnections", pool.total - pool.idle, { state: "busy" });
    set("poolWaiting", pool.waiting);
  }
  set("listenerCurrent", sources.isListenerCurrent() ? 1 : 0);
  const failingSinceMs = sources.journalFailingSinceMs();
  set("journalFailing", failingSinceMs === undefined ? 0 : (sources.nowMs() - failingSinceMs) / 1_000);
  const measured = await sources.measureDatabase().catch(() => undefined);
  set("databaseUp", measured === undefined ? 0 : 1);
  // What the database said last is no longer true when it does not answer.
  for (const name of LABELLED) gauges.get(name)?.reset();
  if (measured === undefined) return;
  set("journalWaiting", measured.journal.waiting);
  set("journalLag", measured.journal.oldestSeconds);
  set("deliveriesWaiting", measured.deliveries.waiting);
  set("deliveriesOldest", measured.deliveries.oldestSeconds);
  set("deliveriesOverdue", measured.deliveries.overdueSeconds);
  set("endpointsFailing", measured.endpoints.failing);
  set("endpointsDisabled", measured.endpoints.disabled);
  set("feedLag", measured.feedLagSeconds);
  set("contentStatusLag", measured.contentStatusLagSeconds);
  set("offersPending", measured.pendingOffers);
  set("reconciled", measured.reconciliation.lastDoneAt ?? 0);
  for (const { kind, count } of measured.reconciliation.open) set("findings", count, { kind });
  for (const { queue, count, oldestSeconds } of measured.unhandled) {
    set("eventsUnhandled", count, { queue });
    set("eventsLag", oldestSeconds, { queue });
  }
  for (const { target, waiting, oldestSeconds, failingSeconds } of measured.purges) {
    set("purgesWaiting", waiting, { target });
    set("purgesOldest", oldestSeconds, { target });
    set("purgesFailing", failingSeconds, { target });
  }
  set("keysListed", measured.keysListed);
  for (const { purpose, ageSeconds, leftSeconds } of measured.keys) {
    set("keyAge", ageSeconds, { purpose });
    set("keyLeft", leftSeconds, { purpose });
  }
}
