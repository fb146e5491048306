-- Which key set of an upstream is kept: an older one never takes its place.
alter table upstream add column key_set_seq bigint not null default 0;
update upstream set key_set_seq = coalesce((key_set::json ->> 'seq')::bigint, 0) where key_set is not null;

-- Holders are looked up by name, and by how their names begin: byte by byte, whatever the database's language.
drop index suspension_by_holder;
create index suspension_by_holder on suspension (holder collate "C");

-- What happens to a marketplace's own licenses, requests and invoices is for it alone.
alter table event_feed drop constraint event_feed_audience_check;
alter table event_feed add constraint event_feed_audience_check check
  (audience in ('platform', 'creator', 'dataset', 'offer', 'marketplace', 'from-version', 'from-offer'));
