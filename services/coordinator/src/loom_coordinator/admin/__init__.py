"""`loom-coordinator`: to see a cluster and to steer it. One file per group of commands."""
