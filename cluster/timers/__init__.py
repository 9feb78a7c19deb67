"""Commands of ours that run by the clock on the machine where Pulumi runs: systemd timers, put in and taken out."""
