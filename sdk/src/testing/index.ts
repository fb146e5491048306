export { listen } from "./listen.ts";
export {
  ANA,
  BRAM,
  type SampleMessage,
  type SamplePlatform,
  createSamplePlatform,
  itemLine,
  revoke,
  withdraw,
} from "./sample-platform.ts";
