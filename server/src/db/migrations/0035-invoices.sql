-- What a marketplace is to pay for a month, in one currency. It never changes: later months correct it.
create table invoice (
  invoice_id text primary key,
  -- Counted within the month, without a gap: `2026-11-0001`.
  number text not null unique,
  marketplace_id text not null,
  currency text not null check (currency ~ '^[A-Z]{3}$'),
  period text not null,
  total numeric(38, 0) not null,
  issued_at bigint not null,
  due_at bigint not null,
  unique (marketplace_id, currency, period)
);
create index invoice_by_period on invoice (period);
call keep_append_only('invoice');

-- Derived from the ledger when the month was closed; the lines add up to the total.
create table invoice_line (
  invoice_id text not null references invoice (invoice_id),
  position integer not null,
  kind text not null,
  is_reversal boolean not null,
  dataset_id text,
  dataset_version integer,
  license_id text,
  price text,
  unit text,
  units numeric(38, 0),
  -- Entries of the ledger that it sums up.
  entries integer not null,
  amount numeric(38, 0) not null,
  primary key (invoice_id, position)
);
call keep_append_only('invoice_line');
