/**
 * Where each resource of the control socket is found. Apart from the resources themselves, so that a command that
 * asks for one does not load what answers it.
 */

export const API_PATH = {
  status: "/v1/status",
  peers: "/v1/peers",
  history: "/v1/history",
  events: "/v1/events",
  health: "/v1/health",
  rekey: "/v1/rekey",
  reload: "/v1/reload",
  confirm: "/v1/confirm",
  handOver: "/v1/hand-over",
  handOverDone: "/v1/hand-over/done",
  handOverFailed: "/v1/hand-over/failed",
  metrics: "/v1/metrics",
  ping: "/v1/ping",
  speedTest: "/v1/speedtest",
  stopSpeedTest: "/v1/speedtest/stop",
} as const;
