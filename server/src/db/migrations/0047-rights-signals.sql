-- What was offered of a dataset when its signals were rendered.
create table signal_dataset (
  dataset_id text primary key references dataset (dataset_id),
  version integer not null,
  terms_url text not null,
  -- Whether works of some modality may be mined.
  is_mining boolean not null
);

-- The works that signals name, by the host they are at: as many of a version as the limit allows.
create table signal_work (
  dataset_id text not null references signal_dataset (dataset_id) on delete cascade,
  position integer not null,
  content_id text not null,
  jti text not null,
  host text not null,
  url text not null,
  -- AIPREF categories that are open to everybody, between spaces.
  open text not null,
  -- The RSL license of works of its modality, empty where none is offered, and whether they may be mined.
  license_xml text not null,
  is_mining boolean not null,
  primary key (dataset_id, position)
);
create index signal_work_by_host on signal_work (host, dataset_id, position);
create index signal_work_open on signal_work (dataset_id) where open <> '';

-- What is to be rendered again: `dataset:<id>`, `host:<host>` or `catalogue`. `marks` grows with every reason.
create table signal_mark (
  subject text primary key,
  marks integer not null
);
insert into signal_mark (subject, marks)
  select 'dataset:' || dataset_id, 1 from dataset where current_version > 0;
