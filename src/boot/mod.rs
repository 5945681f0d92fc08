//! What a machine that boots is told: who it is, and whether it installs, runs live or starts from its disk. Pure.
