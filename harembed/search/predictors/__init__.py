"""Performance predictors (Pellatt and Roggen, section 3.4): what a network will score when it has converged, from its
first epochs, its structure and its cost.

    curve        what a training said, epoch by epoch        training     how it comes to say it, and on whom
    features     numbers that a predictor reads              networks     MLP and CNN
    predictor    one that is fitted                          fitting      weighted loss, cross-validation
    database     random networks trained to the end          stored       predictors as a file
    correlation  Spearman by quintile, bootstrap, ceiling    assessment   all predictors on one database
"""
