"""Evaluations of a small suite in a run folder, as tests of curves and reports want them."""

from flantune import metrics
from flantune.evaluation import evaluator, generation, result_files
from flantune.evaluation.results import Results


def write_step(
    run_dir, step, answers, *, metric=metrics.exact_match, suites=("seen",), untuned=None
):
    """An evaluation of a suite of four examples: "a" twice, "b", "c", so that the majority answer has 0.5."""
    examples = tuple(
        generation.GenerationExample(
            uid=str(i), template_id=0, inputs=str(i), references=(text,), input_text=""
        )
        for i, text in enumerate("aabc")
    )
    task = generation.GenerationTask(name="t:x", cluster="c", metrics=(metric,), examples=examples)
    suite = evaluator.Suite(
        tasks=[task],
        answer=lambda params, prompts: [params[int(prompt)] for prompt in prompts],
        metric=metric.name,
    )
    subject = evaluator.Evaluator(dict.fromkeys(suites, suite), num_resamples=20)
    baselines = dict(subject.baselines())
    if untuned is not None:
        baselines["untuned"] = subject.evaluate(untuned, 0)
    results = Results(tuned=subject.evaluate(answers, step), baselines=baselines)
    result_files.write(run_dir, results)
