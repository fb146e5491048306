-- What was reported of each model, kept as receipts come, so that nobody adds millions of them up.
create table model_use (
  marketplace_id text not null references marketplace (marketplace_id),
  model_fingerprint text not null,
  dataset_id text not null,
  dataset_version integer not null,
  -- Empty for receipts from before there were licenses.
  license_id text not null,
  unit text not null,
  model_id text not null,
  currency text,
  receipts numeric(38, 0) not null,
  units numeric(38, 0) not null,
  charged_micros numeric(38, 0) not null,
  first_from bigint not null,
  last_to bigint not null,
  primary key (model_fingerprint, marketplace_id, dataset_id, dataset_version, license_id, unit),
  foreign key (dataset_id, dataset_version) references dataset_version (dataset_id, version)
);
create index model_use_by_version on model_use (dataset_id, dataset_version);
create index model_use_by_marketplace on model_use (marketplace_id, model_fingerprint);

insert into model_use
  select marketplace_id, model_fingerprint, dataset_id, dataset_version, coalesce(license_id, ''), unit, max(model_id),
         max(currency), count(*), sum(units), sum(charged_micros), min(period_from), max(period_to)
    from usage_receipt
   group by marketplace_id, model_fingerprint, dataset_id, dataset_version, coalesce(license_id, ''), unit;

create function count_model_use() returns trigger language plpgsql as $$
begin
  insert into model_use
    select marketplace_id, model_fingerprint, dataset_id, dataset_version, coalesce(license_id, ''), unit, max(model_id),
           max(currency), count(*), sum(units), sum(charged_micros), min(period_from), max(period_to)
      from added
     group by marketplace_id, model_fingerprint, dataset_id, dataset_version, coalesce(license_id, ''), unit
     order by model_fingerprint, marketplace_id, dataset_id, dataset_version, coalesce(license_id, ''), unit
    on conflict (model_fingerprint, marketplace_id, dataset_id, dataset_version, license_id, unit) do update
      set receipts = model_use.receipts + excluded.receipts,
          units = model_use.units + excluded.units,
          charged_micros = model_use.charged_micros + excluded.charged_micros,
          first_from = least(model_use.first_from, excluded.first_from),
          last_to = greatest(model_use.last_to, excluded.last_to);
  return null;
end $$;
create trigger receipts_of_models after insert on usage_receipt referencing new table as added
  for each statement execute function count_model_use();

-- The list of models each marketplace publishes: when it was read, and when it is read again.
create table model_list (
  marketplace_id text primary key references marketplace (marketplace_id),
  next_at bigint not null,
  read_at bigint,
  -- What the list itself says.
  checked_at bigint,
  models_count integer not null default 0,
  last_error text
);
create index model_list_due on model_list (next_at);

create table listed_model (
  marketplace_id text not null references marketplace (marketplace_id),
  fingerprint text not null,
  model_id text not null,
  base_fingerprint text,
  published_at bigint not null,
  first_seen_at bigint not null,
  last_seen_at bigint not null,
  primary key (marketplace_id, fingerprint)
);
create index listed_model_by_fingerprint on listed_model (fingerprint);
create index listed_model_by_base on listed_model (base_fingerprint) where base_fingerprint is not null;

-- Models that are listed and licensed to nobody, or licensed and never listed.
create table model_finding (
  marketplace_id text not null references marketplace (marketplace_id),
  fingerprint text not null,
  kind text not null check (kind in ('unlicensed', 'unlisted')),
  model_id text not null,
  found_at bigint not null,
  resolved_at bigint,
  primary key (marketplace_id, fingerprint, kind)
);
create index model_finding_open on model_finding (found_at) where resolved_at is null;
