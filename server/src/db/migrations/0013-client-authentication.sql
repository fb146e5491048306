-- How an OAuth client shows who it is, and whether it may. The members of RFC 7591 and RFC 8705
-- that belong to its method (jwks, jwks_uri, tls_client_auth_…) are one JSON text.
alter table oauth_client alter column sealed_secret drop not null;
alter table oauth_client
  add column auth_method text not null default 'client_secret_basic'
    check (auth_method in ('client_secret_basic', 'private_key_jwt', 'tls_client_auth', 'self_signed_tls_client_auth')),
  add column metadata text not null default '{}',
  add column state text not null default 'active' check (state in ('active', 'suspended', 'ended')),
  add column state_since bigint,
  -- The secret before the present one, while both are taken.
  add column old_sealed_secret bytea,
  add column old_secret_until bigint,
  add constraint oauth_client_has_secret check (auth_method <> 'client_secret_basic' or sealed_secret is not null);

-- Sessions are named by the beginning of their token's hash; a creator's are listed together.
create unique index session_token_by_name on session_token (substr(token_sha256, 1, 32));
create index session_token_by_creator on session_token (creator_id) where creator_id is not null;
