-- Events that have no position yet: written with the fact, deleted when they get one. The serial is
-- given while the rows of the fact are locked, so that it orders the facts about one thing on every server.
create table unsequenced_event (
  serial bigint generated always as identity primary key,
  event_id text not null unique references event (id)
);

-- Every event in the one order that readers go by, once for each kind of reader:
--   platform      everybody who acts for the platform
--   creator       the creator whose consent, work or key it is about
--   dataset       the creators with works in a dataset
--   offer         the marketplaces that a dataset was offered to
--   from-version  no reader, but where a version of a dataset begins ("<dataset>/<version>")
--   from-offer    no reader, but where an offer begins ("<dataset>/<marketplace>")
-- One writer at a time, so that whoever saw a position never later finds a lower one.
create table event_feed (
  position bigint primary key,
  event_id text not null references event (id),
  audience text not null check (audience in ('platform', 'creator', 'dataset', 'offer', 'from-version', 'from-offer')),
  audience_id text not null,
  -- What the message to marketplaces is called: one event may be several, one for each dataset.
  message_id text check ((message_id is null) = (audience <> 'offer'))
);
create unique index event_feed_by_audience on event_feed (audience, audience_id, position);
call keep_append_only('event_feed');

insert into unsequenced_event (event_id) select id from event order by at_ms, id;

-- Since which version a dataset holds a creator's works is read from the index alone.
drop index dataset_item_by_creator;
create index dataset_item_by_creator on dataset_item (creator_id, dataset_id, version);
