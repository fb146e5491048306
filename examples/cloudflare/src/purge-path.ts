/** Where the Worker on this machine is told to purge, by whoever holds its token; a site has no such path. */
export const PURGE_PATH = "/cdn-cgi/simulated-purge";
