"""The line that an evaluation is in the log."""

from flantune import metrics
from flantune.evaluation import evaluator, generation
from flantune.views import evaluation_text


def _suite(metric):
    """Two examples, "a" and "b", of which the model gets the first right."""
    examples = tuple(
        generation.GenerationExample(
            uid=text, template_id=0, inputs=text, references=(text,), input_text=text
        )
        for text in ("a", "b")
    )
    task = generation.GenerationTask(
        name="toy:x", cluster="x", metrics=(metric,), examples=examples
    )
    return evaluator.Suite(
        tasks=[task], answer=lambda params, prompts: ["a"] * len(prompts), metric=metric.name
    )


def test_a_line_names_each_suite_its_metric_and_its_value():
    suites = {"seen": _suite(metrics.exact_match), "unseen": _suite(metrics.rouge_l)}
    found = evaluator.Evaluator(suites, num_resamples=10).evaluate(None, 40)
    assert evaluation_text.line(found) == "evaluation: seen exact_match 0.500, unseen rouge_l 50.0"
