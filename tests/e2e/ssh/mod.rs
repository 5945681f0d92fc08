//! The verbs that work over ssh, against a real sshd with stand-ins for what a k3s server has.

mod configuration;
mod kubeconfig;
mod reinstall;
mod tls_san;
mod token;
mod world;
