"""How well the nearest items of one sense answer a query of the other.

`graded` measures nDCG, where some answers are better than others (Objects that Sound); `by_class` measures
recall at 1 and mean average precision (`precision`), where an answer is of the query's class or wrong
(LLINet). The intervals of both are those of `summarize` and `compare`.

Notebook: 02, 06
"""

from llinet_lite.metrics.retrieval.by_class import (
    ClassRetrieval,
    ReleasedMap,
    chance_mean_average_precision,
    chance_recall_at_1,
    class_confusion,
    class_retrieval,
    cosine_scores,
    hit_at_1,
    recall_at_1,
    released_map,
    released_map_of_scores,
)
from llinet_lite.metrics.retrieval.graded import (
    SeedMean,
    check_own,
    compare,
    dcg_gain,
    discounts,
    ndcg,
    nearest,
    oracle_row,
    random_row,
    ratio,
    same_class_row,
    score_embeddings,
    summarize,
)
from llinet_lite.metrics.retrieval.precision import (
    average_precision,
    chance_average_precision,
    mean_average_precision,
    precision_by_class,
)

__all__ = [
    "ClassRetrieval",
    "ReleasedMap",
    "SeedMean",
    "average_precision",
    "chance_average_precision",
    "chance_mean_average_precision",
    "chance_recall_at_1",
    "check_own",
    "class_confusion",
    "class_retrieval",
    "compare",
    "cosine_scores",
    "dcg_gain",
    "discounts",
    "hit_at_1",
    "mean_average_precision",
    "ndcg",
    "nearest",
    "oracle_row",
    "precision_by_class",
    "random_row",
    "ratio",
    "recall_at_1",
    "released_map",
    "released_map_of_scores",
    "same_class_row",
    "score_embeddings",
    "summarize",
]
