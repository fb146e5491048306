-- When a fact that refuses something was committed: noted after the commit, because nothing in a
-- transaction can say it. A fact whose server died at that moment has no row.
create table event_commit (
  event_id text primary key references event (id),
  committed_at_ms bigint not null
);
call keep_append_only('event_commit');
create index event_commit_by_time on event_commit (committed_at_ms);

-- Facts that refuse something, followed until everybody has them.
create table propagation (
  event_id text primary key references event (id),
  type text not null,
  at_ms bigint not null,
  -- The last sequence given to a leg.
  last_sequence integer not null default 0,
  -- Nothing that is known of waits any more.
  is_done boolean not null default false,
  -- When its legs are looked at again; null when nothing can change.
  next_look_at_ms bigint,
  -- Its legs are added up in propagation_total, and it is followed no more.
  is_forgotten boolean not null default false
);
create index propagation_due on propagation (next_look_at_ms) where next_look_at_ms is not null;
create index propagation_by_time on propagation (at_ms);
create index propagation_kept on propagation (at_ms) where not is_forgotten;

-- One target of one leg: a purge, an edge, an endpoint and dataset, a marketplace and dataset.
create table propagation_leg (
  event_id text not null references propagation (event_id),
  leg text not null check (leg in ('committed', 'purge', 'edge', 'webhook', 'acknowledgement')),
  target text not null,
  -- Which of its kind, from 1 in the order in which they were found: what those read who may not know the target.
  number integer not null,
  -- Whose it is; null for what is the platform's own.
  marketplace_id text,
  dataset_id text,
  state text not null check (state in ('waiting', 'done', 'failed')),
  -- The order in which they were found done: what a stream goes by.
  sequence integer,
  at_ms bigint,
  attempts integer not null,
  last_error text,
  primary key (event_id, leg, target),
  check ((state = 'done') = (at_ms is not null)),
  check ((state = 'done') = (sequence is not null))
);
create unique index propagation_leg_by_number on propagation_leg (event_id, leg, number);
create unique index propagation_leg_in_order on propagation_leg (event_id, sequence) where sequence is not null;
create index propagation_leg_open on propagation_leg (leg, event_id) where state <> 'done';

-- What stays of a fact's legs when they are forgotten.
create table propagation_total (
  event_id text not null references propagation (event_id),
  leg text not null,
  targets integer not null,
  done integer not null,
  failed integer not null,
  first_at_ms bigint,
  last_at_ms bigint,
  primary key (event_id, leg)
);

-- How long legs took, by the day (UTC) of their fact: so many took more than the step below and at
-- most up_to_ms. The greatest of each day is exact.
create table propagation_day (
  day date not null,
  leg text not null,
  up_to_ms bigint not null,
  legs bigint not null,
  worst_ms bigint not null,
  primary key (day, leg, up_to_ms)
);

-- Who reads the feed instead of receiving webhooks names a fact by the message that the feed showed.
create index event_feed_by_message on event_feed (message_id) where message_id is not null;
