-- Whoever asks a marketplace for a dataset's receipts holds the row until then, in milliseconds of its clock, and anew
-- with each page: two at once would write down two different places they came to.
alter table receipt_pull add column lease_until_ms bigint not null default 0;
