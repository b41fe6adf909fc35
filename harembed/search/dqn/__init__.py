"""Deep Q-learning (Pellatt and Roggen, Frontiers in Computer Science 2022): a controller that builds a network layer
by layer and learns from what the finished network scored.

    actions  what it may choose               controller  what it believes, and how it learns
    episode  one network, choice by choice    draw    networks at random
    judge    training, prediction, memory     reward  score and costs in one number    strategy  the search
"""
