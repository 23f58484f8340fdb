"""Topic: did measured affinity predict which tasks gain from sharing?"""
