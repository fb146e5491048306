-- What the text promises that the platform does by itself, as names between spaces.
alter table terms add column promises text not null default '';

-- A case for a creator who took back what a model has already learned from, under terms that promise one.
create table remediation (
  case_id text primary key,
  creator_id text not null,
  marketplace_id text not null references marketplace (marketplace_id),
  dataset_id text not null references dataset (dataset_id),
  -- Empty for receipts from before there were licenses.
  license_id text not null,
  model_id text not null,
  model_fingerprint text not null,
  currency text not null,
  -- What was reported of the model and the dataset until the case was opened.
  receipts numeric(38, 0) not null,
  last_use_at bigint not null,
  state text not null check (state in ('open', 'offered', 'accepted', 'closed', 'withdrawn')),
  opened_at bigint not null,
  due_at bigint not null,
  overdue_at bigint,
  ended_at bigint,
  ended_by text,
  reason text,
  transaction_id text
);
-- While one is under way, whatever else is taken back joins it.
create unique index remediation_under_way on remediation (creator_id, marketplace_id, dataset_id, license_id, model_fingerprint)
  where state in ('open', 'offered');
create index remediation_by_creator on remediation (creator_id, case_id);
create index remediation_by_marketplace on remediation (marketplace_id, case_id);
create index remediation_by_dataset on remediation (dataset_id, case_id);
create index remediation_due on remediation (due_at) where state in ('open', 'offered') and overdue_at is null;

-- What was taken back.
create table remediation_ground (
  case_id text not null references remediation (case_id),
  kind text not null check (kind in ('consent', 'work')),
  id text not null,
  at bigint not null,
  primary key (case_id, kind, id)
);
call keep_append_only('remediation_ground');

create table remediation_message (
  message_id text primary key,
  case_id text not null references remediation (case_id),
  side text not null check (side in ('creator', 'platform', 'marketplace')),
  author text not null,
  text text not null,
  at bigint not null
);
create index remediation_message_by_case on remediation_message (case_id, message_id);
call keep_append_only('remediation_message');

create table remediation_offer (
  offer_id text primary key,
  case_id text not null references remediation (case_id),
  amount_micros numeric(38, 0) not null check (amount_micros > 0),
  currency text not null,
  text text not null,
  state text not null check (state in ('standing', 'accepted', 'declined', 'withdrawn', 'expired')),
  offered_at bigint not null,
  offered_by text not null,
  expires_at bigint not null,
  decided_at bigint,
  decided_by text
);
create unique index remediation_offer_standing on remediation_offer (case_id) where state = 'standing';
create unique index remediation_offer_accepted on remediation_offer (case_id) where state = 'accepted';
create index remediation_offer_by_case on remediation_offer (case_id, offer_id);
create index remediation_offer_due on remediation_offer (expires_at) where state = 'standing';
