-- What an endpoint asks for, how it does, and why it is out of use.
alter table webhook_endpoint
  add column description text not null default '',
  -- The changes it asks for beside the refusing ones, which it always gets; null means all.
  add column changes text,
  -- Its messages also carry a signature by the platform's key (v1a).
  add column key_signed boolean not null default false,
  -- Since when every attempt failed; null while the last one was taken.
  add column failing_since_ms bigint,
  -- When its owner was told that it is about to be disabled.
  add column warned_at_ms bigint,
  add column disabled_reason text check (disabled_reason in ('operator', 'marketplace', 'gone', 'failing')),
  add column deleted_at bigint;
update webhook_endpoint set disabled_reason = 'operator' where disabled_at is not null;
alter table webhook_endpoint
  add constraint webhook_endpoint_disabled_for_a_reason check ((disabled_at is null) = (disabled_reason is null));

-- Secrets that were replaced and still sign beside the current one.
create table webhook_old_secret (
  endpoint_id text not null references webhook_endpoint (endpoint_id),
  sealed_secret bytea not null,
  replaced_at_ms bigint not null,
  valid_until_ms bigint not null,
  primary key (endpoint_id, replaced_at_ms)
);

-- A test message tells of no event.
alter table webhook_delivery
  alter column event_id drop not null,
  add column created_at_ms bigint not null default 0,
  -- The attempts that were made before the delivery was last replayed: the waits count from there.
  add column attempts_before integer not null default 0;
update webhook_delivery set created_at_ms = event.at_ms from event where event.id = webhook_delivery.event_id;
alter table webhook_delivery alter column created_at_ms drop default;
create index webhook_delivery_by_event on webhook_delivery (event_id);
create index webhook_delivery_by_age on webhook_delivery (created_at_ms);

-- The next delivery of each endpoint is found without looking at the others, however many wait.
drop index webhook_delivery_due;
create index webhook_delivery_due on webhook_delivery (endpoint_id, refusing desc, next_attempt_at_ms) where state = 'waiting';
create index webhook_delivery_order on webhook_delivery (endpoint_id, dataset_id, sequence) where state = 'waiting';
