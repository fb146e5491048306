create table terms (
  license text not null,
  language text not null,
  body text not null,
  sha256 text not null,
  is_default boolean not null,
  published_at bigint not null,
  primary key (license, language)
);
call keep_append_only('terms');
