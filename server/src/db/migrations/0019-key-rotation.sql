-- A purpose has one newest key; the ones before it stay active until their time to retire.
drop index signing_key_one_active;
alter table signing_key add column signs_from bigint not null default 0;
alter table signing_key add column retire_at bigint;
create unique index signing_key_one_newest on signing_key (purpose) where status = 'active' and retire_at is null;

-- The OAuth server's keys: one signs, the others are known until the tokens they signed have expired.
alter table oauth_key add column retire_at bigint;

-- What a creator calls the device a key is on.
alter table creator_key add column name text;

alter table receipt_key add column compromised_since bigint;
