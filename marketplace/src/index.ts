export { type MarketplaceConfig, readConfig } from "./config.ts";
export { type RunningMarketplace, type Surroundings, startMarketplace } from "./start-marketplace.ts";
