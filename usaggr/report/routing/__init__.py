"""Topic: use of experts and routing of tasks in mixture-of-experts networks."""
