-- Platforms whose works we carry: what is taken back there has to fall here too.
create table upstream (
  upstream_id text primary key,
  name text not null,
  origin text not null,
  -- What its messages to us name as endpoint_id.
  endpoint_id text not null,
  sealed_secret bytea not null,
  old_sealed_secret bytea,
  old_secret_until bigint,
  -- Its messages must also be signed with a webhook key of its key set.
  key_signed boolean not null,
  -- The key set as it was last read.
  key_set text,
  key_set_read_at bigint,
  created_at bigint not null,
  ended_at bigint
);
create unique index upstream_by_endpoint on upstream (lower(endpoint_id));

-- Works of ours that are carried for an upstream, by every name under which it may take them back.
create table upstream_work (
  upstream_id text not null references upstream (upstream_id),
  content_id text not null references content_item (content_id),
  upstream_dataset_id text not null,
  upstream_content_id text not null,
  upstream_jti text not null,
  mapped_at bigint not null,
  primary key (upstream_id, content_id, upstream_dataset_id, upstream_content_id, upstream_jti)
);
create index upstream_work_by_dataset on upstream_work (upstream_id, upstream_dataset_id);
create index upstream_work_by_content on upstream_work (upstream_id, upstream_content_id);
create index upstream_work_by_jti on upstream_work (upstream_id, upstream_jti);

-- Consents of ours that stand on one of theirs.
create table upstream_consent (
  upstream_id text not null references upstream (upstream_id),
  jti text not null references consent (jti),
  upstream_jti text not null,
  mapped_at bigint not null,
  primary key (upstream_id, jti, upstream_jti)
);
create index upstream_consent_by_jti on upstream_consent (upstream_id, upstream_jti);

-- Every event that an upstream sent, once, and what it was answered.
create table upstream_event (
  upstream_id text not null references upstream (upstream_id),
  event_id text not null,
  dataset_id text not null,
  content_id text,
  jti text,
  change text not null,
  sequence bigint,
  received_at bigint not null,
  answer text not null,
  -- The order in which they were taken.
  serial bigint generated always as identity unique,
  primary key (upstream_id, event_id)
);
call keep_append_only('upstream_event');
create index upstream_event_by_dataset on upstream_event (upstream_id, dataset_id);
create index upstream_event_by_content on upstream_event (upstream_id, content_id) where content_id is not null;
create index upstream_event_by_jti on upstream_event (upstream_id, jti) where jti is not null;

-- An upstream holds something suspended for each of its datasets, works and consents by itself.
alter table suspension drop constraint suspension_holder_check;
alter table suspension add constraint suspension_holder_check
  check (holder in ('platform', 'creator') or holder like 'upstream:%');
create index suspension_by_holder on suspension (holder) where holder like 'upstream:%';

alter table interaction add column upstream_id text;
alter table interaction drop constraint interaction_caller_kind_check;
alter table interaction add constraint interaction_caller_kind_check
  check (caller_kind in ('operator', 'platform', 'marketplace', 'creator', 'upstream'));
