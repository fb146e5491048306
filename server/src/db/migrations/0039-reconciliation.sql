-- One look over licenses, receipts, interactions and ledger. At most one waits or runs.
create table reconciliation (
  reconciliation_id text primary key,
  state text not null check (state in ('waiting', 'running', 'done', 'failed')),
  requested_by text not null,
  requested_at bigint not null,
  started_at bigint,
  ended_at bigint,
  -- A run that has not moved this on was lost with its server.
  lease_until_ms bigint,
  -- What came of each kind, as JSON.
  outcome text,
  error text
);
create unique index reconciliation_under_way on reconciliation ((true)) where state in ('waiting', 'running');
create index reconciliation_by_time on reconciliation (requested_at);

-- What does not fit together. One of a kind about one subject, opened and closed as its cause comes and goes.
create table finding (
  finding_id text primary key,
  kind text not null,
  subject text not null,
  -- A person has dealt with it: open no more, although its cause may be there for good.
  state text not null check (state in ('open', 'resolved', 'closed')),
  detail text not null,
  first_opened_at bigint not null,
  opened_at bigint not null,
  last_seen_at bigint not null,
  -- The run that saw it last.
  seen_in text not null,
  times_opened integer not null,
  closed_at bigint,
  resolved_at bigint,
  resolved_by text,
  note text,
  unique (kind, subject)
);
create index finding_by_state on finding (state, kind, finding_id);

-- What a run looks for among what is there for good.
create index usage_receipt_flagged on usage_receipt (sequence)
  where license_id is null or flags like '%license_ended%' or flags like '%after_revocation%';
create index interaction_items_read on interaction (marketplace_id, dataset_id, at_ms)
  where route = '/datasets/{id}/versions/{version}/items' and caller_kind = 'marketplace' and status < 300;
