export {
  CLOUDFLARE_LIMITS,
  type CloudflareLimits,
  type CloudflareMishap,
  type CloudflareSimulator,
  type Purge,
  type SimulatedCall,
  startCloudflareSimulator,
} from "./purge-api.ts";
