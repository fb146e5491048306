-- The revocation view in the order of its rows; pages are counted from it.
create table revocation (
  sequence bigint primary key,
  jti text not null unique,
  revoked_at bigint not null,
  listed_until bigint not null
);
call keep_append_only('revocation');
