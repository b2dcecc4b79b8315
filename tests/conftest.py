import hypothesis

# How long an example takes depends on the machine; examples are the same in every run.
hypothesis.settings.register_profile("ds2ray", deadline=None, derandomize=True)
hypothesis.settings.load_profile("ds2ray")
