-- Servers of the version before may be posting and publishing meanwhile: what is added up here must be all there is. In
-- the order in which they write.
lock table dataset_version, ledger_transaction, ledger_account, ledger_entry in share row exclusive mode;

-- What counted for an account in each month, kept by the database itself: nobody adds up entries to know a balance.
create table account_month (
  account_id bigint not null references ledger_account (account_id),
  -- The month's first second, in UTC.
  month_at bigint not null,
  amount numeric(38, 0) not null,
  primary key (account_id, month_at)
);

create function month_at(instant bigint) returns bigint language sql immutable as $$
  select extract(epoch from date_trunc('month', to_timestamp(instant) at time zone 'UTC'))::bigint
$$;

insert into account_month (account_id, month_at, amount)
  select entry.account_id, month_at(transaction.value_at), sum(entry.amount)
    from ledger_entry entry join ledger_transaction transaction using (transaction_id)
   group by 1, 2;

create or replace function keep_ledger_balanced() returns trigger language plpgsql as $$
declare
  wrong record;
begin
  select transaction_id, sum(amount) as total into wrong
    from added group by transaction_id having sum(amount) <> 0 limit 1;
  if found then
    raise exception 'ledger transaction % adds up to %, not to 0', wrong.transaction_id, wrong.total
      using errcode = 'integrity_constraint_violation';
  end if;
  select entry.transaction_id into wrong
    from ledger_entry entry
   where entry.transaction_id in (select transaction_id from added)
     and entry.entry_id < (select min(entry_id) from added) limit 1;
  if found then
    raise exception 'ledger transaction % is written already', wrong.transaction_id
      using errcode = 'integrity_constraint_violation';
  end if;
  insert into account_balance (account_id, balance)
    select account_id, sum(amount) from added group by account_id order by account_id
    on conflict (account_id) do update set balance = account_balance.balance + excluded.balance;
  insert into account_month (account_id, month_at, amount)
    select added.account_id, month_at(transaction.value_at) as month, sum(added.amount)
      from added join ledger_transaction transaction using (transaction_id)
     group by added.account_id, month order by added.account_id, month
    on conflict (account_id, month_at) do update set amount = account_month.amount + excluded.amount;
  return null;
end $$;

-- The first transaction there is, and what counts for an instant that is still to come.
create index ledger_transaction_by_value on ledger_transaction (value_at);

-- What a creator's works of a version count in a split, beside what all of them count: lines never change.
create table creator_weight (
  dataset_id text not null,
  version integer not null,
  creator_id text not null,
  items numeric not null,
  tokens numeric not null,
  seconds numeric not null,
  bytes numeric not null,
  all_items numeric not null,
  all_tokens numeric not null,
  all_seconds numeric not null,
  all_bytes numeric not null,
  primary key (dataset_id, version, creator_id)
);
create index creator_weight_by_creator on creator_weight (creator_id, dataset_id, version);

create function keep_creator_weights(of_dataset text, of_version integer) returns void language sql as $$
  insert into creator_weight (dataset_id, version, creator_id, items, tokens, seconds, bytes,
                              all_items, all_tokens, all_seconds, all_bytes)
  select of_dataset, of_version, own.*, sum(items) over (), sum(tokens) over (), sum(seconds) over (), sum(bytes) over ()
    from (select creator_id, count(*) as items, coalesce(sum((item::json ->> 'token_count')::numeric), 0) as tokens,
                 coalesce(sum((item::json ->> 'length_ms')::numeric), 0) as seconds,
                 coalesce(sum((item::json ->> 'size_bytes')::numeric), 0) as bytes
            from dataset_item where dataset_id = of_dataset and version = of_version
           group by creator_id) own
$$;

select keep_creator_weights(dataset_id, version) from dataset_version;

-- A server of the version before publishes without them.
create function complete_creator_weights() returns trigger language plpgsql as $$
begin
  if not exists (select from creator_weight where dataset_id = new.dataset_id and version = new.version) then
    perform keep_creator_weights(new.dataset_id, new.version);
  end if;
  return null;
end $$;
create trigger weighed after insert on dataset_version for each row execute function complete_creator_weights();

create trigger append_only before update or delete on creator_weight for each row execute function refuse_change_of_version();
create trigger append_only_truncate before truncate on creator_weight for each statement execute function refuse_change();
