-- What of a marketplace's receipts was refused when they were read, the newest last, as JSON: nobody else is told.
alter table receipt_pull add column refusals text not null default '[]';

-- Receipts that were accepted since a key was compromised.
create index usage_receipt_by_time on usage_receipt (marketplace_id, accepted_at);
