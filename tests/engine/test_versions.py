from job.engine.versions import versions


def test_versions_of_what_computes_are_known(spark):
    import cv2
    import numpy as np
    import pyspark

    found = versions(spark)
    assert (found["pyspark"], found["numpy"]) == (pyspark.__version__, np.__version__)
    assert found["opencv"].startswith(cv2.__version__)
    assert found["java"].split(".")[0] in ("17", "18", "19", "20", "21")
