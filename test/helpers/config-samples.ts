/**
 * Two keys and a right configuration that tests and fuzz targets begin with; of strings alone, so that either may import it.
 */

/** Base64 of 32 different bytes; every run of 36 digits has both cases and a digit. */
export const KEY_A = "q8Mc0CMzIIZmQDVWzvOAvDZsdNvQhgiI1qQoK7kg4fY=";
export const KEY_B = "kw0U7v0D9WnI0SFeloH1bMJN97JzCUIQWAeCZ3qBqYM=";

/** Has every section, both families, one peer with a key and one with a list of keys. */
export const CONFIG_SAMPLE = `# a configuration
[interface]
name = "iptun0"
address = ["10.0.0.1/24", "fd00::1/64"]
mtu = 1420
listen = "[::]:1194"
device = ""
routes = true
fwmark = 0
copy_dscp = false
firewall = "auto"
state_dir = "/var/lib/iptun"

[[peer]]
name = "b"
key = "${KEY_A}"
endpoint = "vpn.example.org:1194"
allowed_ips = ["10.1.0.0/16"]
keepalive = 25
roaming = "validated"

[[peer]]
name = "c"
key = ["${KEY_B}"]
endpoint = "[2001:db8::1]:1194"
allowed_ips = ["10.2.0.0/16", "fd00:2::/64"]

[limits]
sources = 4096
[offload]
tso = false
[log]
level = "info"
`;
