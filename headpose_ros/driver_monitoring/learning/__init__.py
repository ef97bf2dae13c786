"""What is learned about the driver, and from which moments.

`moment` has the rule, `driver` everything that is learned about one driver.
"""
