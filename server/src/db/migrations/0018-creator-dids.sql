-- The DID a creator's key was enrolled under, as they spell it; null when it was enrolled as a JWK.
alter table creator_key add column did text;
