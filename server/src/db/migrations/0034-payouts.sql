-- Where a creator's money goes, for each currency. `hint` is all that is ever shown of it.
create table payout_details (
  creator_id text not null references creator (creator_id),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  adapter text not null check (adapter in ('csv', 'stripe')),
  sealed_details bytea not null,
  hint text not null,
  changed_at bigint not null,
  primary key (creator_id, currency)
);

create table payout_batch (
  batch_id text primary key,
  adapter text not null check (adapter in ('csv', 'stripe')),
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  created_at bigint not null,
  created_by text not null,
  -- The month it is due for and its number there, `2026-12/1`; null of one that somebody asked for.
  schedule text,
  -- Creators who were due and did not fit in.
  left_count integer not null,
  unique (adapter, currency, schedule)
);
call keep_append_only('payout_batch');

-- Who must not be paid twice. A restore writes rows whose creator or destination is lost.
create table payout (
  payout_id text primary key,
  batch_id text not null references payout_batch (batch_id),
  creator_id text not null,
  adapter text not null,
  currency text not null,
  amount numeric(38, 0) not null check (amount > 0),
  -- What came back after it was paid.
  returned numeric(38, 0) not null default 0 check (returned >= 0 and returned <= amount),
  -- The details as they were when it was made: every attempt sends the same.
  sealed_destination bytea,
  hint text,
  state text not null check (state in ('created', 'sent', 'paid', 'failed', 'returned', 'unknown')),
  -- What the way to pay calls it.
  external_id text,
  reason text,
  attempts integer not null default 0,
  next_attempt_at_ms bigint,
  created_at bigint not null,
  settled_at bigint
);
create index payout_by_batch on payout (batch_id, payout_id);
create index payout_by_creator on payout (creator_id, payout_id);
create index payout_due on payout (next_attempt_at_ms) where next_attempt_at_ms is not null;

-- Webhooks of Stripe's that were dealt with, so that none counts twice.
create table stripe_event (
  event_id text primary key,
  received_at bigint not null
);
create index stripe_event_by_age on stripe_event (received_at);
