-- The last sequence given to an endpoint for a dataset.
create table webhook_sequence (
  endpoint_id text not null references webhook_endpoint (endpoint_id),
  dataset_id text not null,
  sequence bigint not null,
  primary key (endpoint_id, dataset_id)
);

create table webhook_delivery (
  endpoint_id text not null references webhook_endpoint (endpoint_id),
  dataset_id text not null,
  sequence bigint not null,
  message_id text not null,
  event_id text not null references event (id),
  change text not null,
  -- The jti, content id or version the message is about.
  subject text not null,
  refusing boolean not null,
  body text not null,
  state text not null check (state in ('waiting', 'delivered', 'failed')),
  attempts integer not null default 0,
  next_attempt_at_ms bigint,
  delivered_at_ms bigint,
  primary key (endpoint_id, dataset_id, sequence),
  unique (endpoint_id, message_id)
);
create index webhook_delivery_due on webhook_delivery (next_attempt_at_ms) where state = 'waiting';
create index webhook_delivery_by_dataset on webhook_delivery (dataset_id);
-- A fan-out that is repeated after a crash adds nothing.
create unique index webhook_delivery_once on webhook_delivery (endpoint_id, dataset_id, event_id, subject);

create table webhook_attempt (
  endpoint_id text not null,
  dataset_id text not null,
  sequence bigint not null,
  attempt integer not null,
  at_ms bigint not null,
  duration_ms integer not null,
  status integer,
  error text,
  primary key (endpoint_id, dataset_id, sequence, attempt),
  foreign key (endpoint_id, dataset_id, sequence) references webhook_delivery (endpoint_id, dataset_id, sequence)
);
create index webhook_delivery_by_message on webhook_delivery (message_id);
