-- Accounts of the double entry: whose they are, in one currency each. Positive balances are debits.
create table ledger_account (
  account_id bigint generated always as identity primary key,
  kind text not null check (kind in ('marketplace', 'pool', 'creator', 'platform_fee', 'clearing', 'cash')),
  -- A marketplace's id, `<dataset>/<version>`, a creator's id, a way to pay; empty where there is one alone.
  owner text not null,
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  unique (kind, owner, currency),
  unique (account_id, currency)
);
create index ledger_account_by_owner on ledger_account (owner);
call keep_append_only('ledger_account');

-- What happened to money. The same kind of thing happens to one reference once.
create table ledger_transaction (
  transaction_id text primary key,
  -- Given out under a lock that is held until the commit: whoever has seen one never misses a lower one.
  sequence bigint generated always as identity unique,
  kind text not null check (kind in ('usage_charge', 'license_fee', 'pool_split', 'payout', 'payout_paid',
                                     'payout_returned', 'payment', 'compensation', 'reversal')),
  reference text not null,
  currency text not null,
  -- The instant it counts for, which decides its period; and when it was written.
  value_at bigint not null,
  recorded_at bigint not null,
  reverses text unique references ledger_transaction (transaction_id),
  -- Everything its amounts were computed from.
  explanation text not null,
  unique (kind, reference),
  unique (transaction_id, currency)
);
call keep_append_only('ledger_transaction');

create table ledger_entry (
  entry_id bigint generated always as identity primary key,
  transaction_id text not null,
  account_id bigint not null,
  currency text not null,
  amount numeric(38, 0) not null check (amount <> 0),
  foreign key (transaction_id, currency) references ledger_transaction (transaction_id, currency),
  foreign key (account_id, currency) references ledger_account (account_id, currency),
  unique (transaction_id, account_id)
);
create index ledger_entry_by_account on ledger_entry (account_id, entry_id);
call keep_append_only('ledger_entry');

-- The sum of an account's entries, kept by the database itself.
create table account_balance (
  account_id bigint primary key references ledger_account (account_id),
  balance numeric(38, 0) not null
);

-- A transaction is written whole by one statement, and adds up to zero; or it is refused.
create function keep_ledger_balanced() returns trigger language plpgsql as $$
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
  return null;
end $$;
create trigger ledger_balanced after insert on ledger_entry referencing new table as added
  for each statement execute function keep_ledger_balanced();

-- Months that are closed: nothing is counted for them any more.
create table ledger_period (
  period text primary key check (period ~ '^\d{4}-\d{2}$'),
  closed_at bigint not null,
  closed_by text not null
);
call keep_append_only('ledger_period');
