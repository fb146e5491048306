-- Who holds something suspended, and why. It is suspended while anybody does.
create table suspension (
  kind text not null check (kind in ('consent', 'content', 'dataset')),
  id text not null,
  holder text not null check (holder in ('platform', 'creator')),
  reason text not null,
  suspended_at bigint not null,
  primary key (kind, id, holder)
);

alter table content_item add column suspended_at bigint;
create index content_item_fallen on content_item (content_id) where withdrawn_at is not null or suspended_at is not null;
create index consent_fallen on consent (jti) where state <> 'active';
create index consent_by_subject on consent (creator_id, subject);

alter table dataset
  add column suspended_at bigint,
  -- When it was taken from offer for good.
  add column ended_at bigint,
  add column min_valid_version integer not null default 1,
  -- When the next version, without what is gone, is due.
  add column compact_at bigint;
create index dataset_compaction on dataset (compact_at) where compact_at is not null;

-- Who is writing the lines of a version that is not published yet. A large version is written in
-- many short transactions, so that nobody waits for it.
create table dataset_build (
  dataset_id text primary key references dataset (dataset_id) on delete cascade,
  build_id text not null,
  version integer not null,
  lease_until_ms bigint not null
);

-- Lines may therefore be there before their version, and may go again as long as it is not there.
alter table dataset_item drop constraint dataset_item_dataset_id_version_fkey;
alter table dataset_consent drop constraint dataset_consent_dataset_id_version_fkey;

create function refuse_change_of_version() returns trigger language plpgsql as $$
begin
  if tg_op = 'DELETE' and not exists (
    select from dataset_version where dataset_id = old.dataset_id and version = old.version
  ) then
    return old;
  end if;
  raise exception 'table % is append-only: % refused', tg_table_name, tg_op using errcode = 'integrity_constraint_violation';
end $$;

drop trigger append_only on dataset_item;
drop trigger append_only on dataset_consent;
create trigger append_only before update or delete on dataset_item for each row execute function refuse_change_of_version();
create trigger append_only before update or delete on dataset_consent for each row execute function refuse_change_of_version();
