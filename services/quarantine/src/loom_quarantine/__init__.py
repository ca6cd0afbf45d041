"""The quarantine service: it stores records that did not pass, and replays them on command."""
