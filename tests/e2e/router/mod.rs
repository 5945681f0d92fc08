//! The router's files against what reads them: dnsmasq with clients of each firmware, and what OpenWRT makes of uci.

mod lan;
mod leases;
mod uci;
