# What a Varnish (6.6 or later) needs so that it forgets what was taken back. At the top of your own VCL:
#
#   vcl 4.1;
#   include "licet.vcl";
#
# Varnish runs each sub here before the one of the same name in your VCL. docs/operations.md has the rest.
import std;

# The addresses of your Licet servers, and of nobody else: whoever is in this list can empty the cache.
# If a proxy on this machine passes the world's requests on to Varnish, the world comes from 127.0.0.1:
# take it out then, and let Licet come by another address.
acl licet {
  "127.0.0.1";
  "::1";
}

sub vcl_recv {
  if (req.method == "BAN" || req.method == "PURGE") {
    if (client.ip !~ licet) {
      return (synth(403, "not allowed"));
    }
  }
  if (req.method == "BAN") {
    # It becomes part of an expression, so nothing but tags may stand in it.
    if (req.http.X-Licet-Tags !~ "^[a-z0-9-]{1,128}(\|[a-z0-9-]{1,128})*$") {
      return (synth(400, "expected tags of lower-case letters, digits and hyphens"));
    }
    # Of the object alone, so that the ban lurker can settle it. Lists are written with and without spaces.
    if (std.ban("obj.http.Cache-Tag ~ (^|,)[[:space:]]*(" + req.http.X-Licet-Tags + ")[[:space:]]*(,|$)")) {
      return (synth(200, "licet banned"));
    }
    return (synth(503, std.ban_error()));
  }
  if (req.method == "PURGE") {
    return (purge);
  }
}

sub vcl_purge {
  return (synth(200, "licet purged"));
}

sub vcl_backend_response {
  # A ban looks at one line, and tags may come on several.
  std.collect(beresp.http.Cache-Tag);
}

sub vcl_synth {
  # By this Licet knows that it was a cache that answered, and that it has forgotten.
  if (resp.status == 200 && resp.reason ~ "^licet ") {
    set resp.http.X-Licet-Purged = "1";
  }
}

sub vcl_deliver {
  # Tags are between origin and cache.
  unset resp.http.Cache-Tag;
}
