"""Writes when a pipeline runs, in the words of those who run it: cron, systemd, Kubernetes and Airflow. It does no
I/O."""
