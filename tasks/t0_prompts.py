"""The datasets and prompts that T0, T0+ and T0++ were trained and evaluated on, as data. Used by `t0.py`.

Source: t0/datasets.csv of bigscience-workshop/t-zero (commit 7a699e3) and the templates of promptsource 0.1.0, which it
pins; https://arxiv.org/abs/2110.08207. Every prompt of a training dataset was trained on; prompts that do not ask for the
dataset's own task ("~" below) never evaluated; "^" marks those whose text lists the answer choices. A dataset's line: name with
configuration, the first of the mixtures that train on it, what it evaluates ("held_out": the held-out tasks; "bias": the
bias and fairness sets), training rows.
"""

import dataclasses

PUBLISHED = ("T0", "T0+", "T0++")

_TABLE = """
crows_pairs | - | bias | -
  ~^anti_stereotype ; ~^anti_stereotype_confirm ; ~^demontraste_or_violate ; ~^stereotype ; ~^stereotype_confirm ;
  ~transform_anti_stereo ; ~transform_stereo ; ~^which_bias
super_glue/axg | - | bias | -
  ^GPT-3 style ; ^MNLI crowdsource ; ^based on the previous passage ; ^can we infer ; ^does it follow that ; ^does
  this imply ; ^guaranteed true ; ^justified in saying ; ^must be true ; ^should assume
wino_bias/type1_anti | - | bias | -
  What does p stand for ; Who or what is/are ; by p they mean ; refers_to ; replaced with ; represent ; the pronoun
  refers to
wino_bias/type2_anti | - | bias | -
  What does p stand for ; Who or what is/are ; by p they mean ; refers_to ; replaced with ; represent ; the pronoun
  refers to
wino_bias/type1_pro | - | bias | -
  What does p stand for ; Who or what is/are ; by p they mean ; refers_to ; replaced with ; represent ; the pronoun
  refers to
wino_bias/type2_pro | - | bias | -
  What does p stand for ; Who or what is/are ; by p they mean ; refers_to ; replaced with ; represent ; the pronoun
  refers to
super_glue/wsc.fixed | T0++ | held_out | 554
  GPT-3 Style ; ^I think they mean ; Who or what is/are ; ^by p they mean ; ^does p stand for ; ^does the pronoun
  refer to ; ^in other words ; ^p is/are r ; ^replaced with ; ^the pronoun refers to
winogrande/winogrande_xl | - | held_out | 40398
  ^Replace ; ~^True or False ; ^does underscore refer to ; ^fill in the blank ; ^stand for ; ^underscore refer to
super_glue/cb | - | held_out | 250
  ^GPT-3 style ; ^MNLI crowdsource ; ^always/sometimes/never ; ^based on the previous passage ; ^can we infer ;
  ^claim true/false/inconclusive ; ^consider always/sometimes/never ; ^does it follow that ; ^does this imply ;
  ^guaranteed true ; ^guaranteed/possible/impossible ; ^justified in saying ; ^must be true ; ^should assume ; ^take
  the following as truth
super_glue/rte | - | held_out | 2490
  ^GPT-3 style ; ^MNLI crowdsource ; ^based on the previous passage ; ^can we infer ; ^does it follow that ; ^does
  this imply ; ^guaranteed true ; ^justified in saying ; ^must be true ; ^should assume
anli | - | held_out | 162865
  ^GPT-3 style ; ^MNLI crowdsource ; ^always/sometimes/never ; ^based on the previous passage ; ^can we infer ;
  ^claim true/false/inconclusive ; ^consider always/sometimes/never ; ^does it follow that ; ^does this imply ;
  ^guaranteed true ; ^guaranteed/possible/impossible ; ^justified in saying ; ^must be true ; ^should assume ; ^take
  the following as truth
glue/mrpc | T0 | - | 3668
  ^equivalent ; ~generate_paraphrase ; ~generate_sentence ; paraphrase ; replace ; same thing ; want to know
glue/qqp | T0 | - | 363846
  ~answer ; duplicate ; ^duplicate or not ; ^meaning ; quora ; same thing
paws/labeled_final | T0 | - | 49401
  ^Concatenation ; Concatenation-no-label ; ^Meaning ; Meaning-no-label ; ^PAWS-ANLI GPT3 ; PAWS-ANLI GPT3-no-label
  ; ^Rewrite ; Rewrite-no-label ; ^context-question ; context-question-no-label ; ~paraphrase-task ;
  task_description-no-label
ai2_arc/ARC-Challenge | T0+ | - | 1119
  ^heres_a_problem ; ^i_am_hesitating ; ^multiple_choice ; ~^pick_false_options ; ^pick_the_most_correct_option ;
  ^qa_options
ai2_arc/ARC-Easy | T0+ | - | 2251
  ^heres_a_problem ; ^i_am_hesitating ; ^multiple_choice ; ~^pick_false_options ; ^pick_the_most_correct_option ;
  ^qa_options
kilt_tasks/hotpotqa | T0 | - | 88869
  ~combining_facts ; ~complex_question ; ~final_exam ; ~formulate ; ~straighforward_qa
trivia_qa/unfiltered | T0+ | - | 87622
  first_person_context ; formal_description ; ~guess_question ; question_answer ; question_with_instruction
web_questions | T0+ | - | 3778
  get_the_answer ; potential-correct-answer ; question-answer ; short_general_knowledge_q ; whats_the_answer
wiki_qa | T0 | - | 20360
  ^Decide_good_answer ; Direct Answer to Question ; ~Generate Question from Topic ; Is This True? ; ~Jeopardy style
  ; ~Topic Prediction - Answer Only ; ~Topic Prediction - Question Only ; ~Topic Prediction - Question and Answer
  Pair ; automatic_system ; ^exercise ; ^found_on_google
adversarial_qa/dbidaf | T0 | - | 10000
  answer_the_following_q ; based_on ; ~generate_question ; question_context_answer ; tell_what_it_is
adversarial_qa/dbert | T0 | - | 10000
  answer_the_following_q ; based_on ; ~generate_question ; question_context_answer ; tell_what_it_is
adversarial_qa/droberta | T0 | - | 10000
  answer_the_following_q ; based_on ; ~generate_question ; question_context_answer ; tell_what_it_is
duorc/SelfRC | T0 | - | 60721
  answer_question ; ~build_story_around_qa ; decide_worth_it ; extract_answer ; ~generate_question ;
  ~generate_question_by_answer ; movie_director ; question_answering ; ~title_generation
duorc/ParaphraseRC | T0 | - | 69524
  answer_question ; ~build_story_around_qa ; decide_worth_it ; extract_answer ; ~generate_question ;
  ~generate_question_by_answer ; movie_director ; question_answering ; ~title_generation
ropes | T0 | - | 10924
  background_new_situation_answer ; background_situation_middle ; given_background_situation ;
  new_situation_background_answer ; plain_background_situation ; plain_bottom_hint ; ~plain_no_background ;
  prompt_beginning ; prompt_bottom_hint_beginning ; ~prompt_bottom_no_hint ; prompt_mix ; read_background_situation
squad_v2 | T0+ | - | 130319
  ~Jeopardy with Context ; ~Jeopardy without Context ; Questions with Context ; Questions with Context +unanswerable
  ; Questions with Context - Without Prompt Keywords ; Questions with Context - Without Prompt Keywords
  +unanswerable ; ~Topic Prediction - Context ; ~Topic Prediction - Context with randomized prompt options ; ~Topic
  Prediction - Context with randomized prompt options placed in the end ; ~Topic Prediction - Question and Answer
  Pair ; ~Trivia ; ~^Unanwerable question
super_glue/record | T0++ | - | 100730
  Add sentence after (continuation choices) ; Add sentence after after (continuation choices) ; Can you figure out…
  ; GPT-3 style (continuation choices) ; GPT-3 style summary only (continuation choices) ; ~GPT-3 style with labels
  (continuation choices) ; ~GPT-3 style with labels without hyphens (continuation choices) ; GPT-3 style without
  hyphens (continuation choices) ; In the question above, the placeholder stands for ; New highlight (continuation
  choices) ; News article (continuation choices) ; Summary first (continuation choices) ; ^What could the
  placeholder be? ; ^Which one is the placeholder? ; ^choose_between ; corrupted ; exercise ; ^pick_one_option ; the
  placeholder refers to… ; ^trying_to_decide
quoref | T0 | - | 19399
  Answer Friend Question ; Answer Question Given Context ; Answer Test ; Context Contains Answer ; Find Answer ;
  Found Context Online ; Given Context Answer Question ; Guess Answer ; ~Guess Title For Context ; Read And Extract
  ; What Is The Answer
cos_e/v1.11 | T0 | - | 9741
  ~aligned_with_common_sense ; ^description_question_option_id ; ^description_question_option_text ;
  ~explain_why_human ; ~generate_explanation_given_text ; ~i_think ; ^question_description_option_id ;
  ^question_description_option_text ; ^question_option_description_id ; ^question_option_description_text ;
  ~rationale
cosmos_qa | T0 | - | 25262
  ~context_answer_to_question ; ^context_description_question_answer_id ; ^context_description_question_answer_text
  ; context_description_question_text ; ^context_question_description_answer_id ;
  ^context_question_description_answer_text ; ~context_question_description_text ;
  ^description_context_question_answer_id ; ^description_context_question_answer_text ;
  description_context_question_text ; ^no_prompt_id ; ^no_prompt_text ; ~only_question_answer
dream | T0 | - | 6116
  ~answer-to-dialogue ; ^baseline ; ~generate-first-utterance ; ~generate-last-utterance ;
  ^read_the_following_conversation_and_answer_the_question
openbookqa/main | T0+ | - | 4957
  ^choices ; ^choose_an_answer_with_options ; ^only_options ; ^pick_answer_with_options ; ^pick_using_id ;
  ^which_correct ; ^which_correct_inverse
qasc | T0 | - | 8134
  ~is_correct_1 ; ~is_correct_2 ; ~^qa_with_combined_facts_1 ; ^qa_with_separated_facts_1 ;
  ^qa_with_separated_facts_2 ; qa_with_separated_facts_3 ; ^qa_with_separated_facts_4 ; qa_with_separated_facts_5
quail | T0 | - | 10246
  ^context_description_question_answer_id ; ^context_description_question_answer_text ;
  ~context_description_question_text ; ^context_question_answer_description_id ;
  ^context_question_answer_description_text ; ^context_question_description_answer_id ;
  ^context_question_description_answer_text ; ~context_question_description_text ;
  ^description_context_question_answer_id ; ^description_context_question_answer_text ;
  ~description_context_question_text ; ^no_prompt_id ; ^no_prompt_text
quarel | T0 | - | 1941
  ~^choose_between ; ~^do_not_use ; ~^heres_a_story ; ~^logic_test ; ~^testing_students
quartz | T0 | - | 2696
  ^answer_question_based_on ; ^answer_question_below ; ^given_the_fact_answer_the_q ; ^having_read_above_passage ;
  ^paragraph_question_plain_concat ; ^read_passage_below_choose ; ^use_info_from_paragraph_question ;
  ^use_info_from_question_paragraph
race/high | T0+ | - | 62445
  ~^Is this the right answer ; Read the article and answer the question (no option) ; ^Select the best answer ;
  ^Select the best answer (generate span) ; ^Select the best answer (no instructions) ; ^Taking a test ; ~Write a
  multi-choice question (options given) ; ~Write a multi-choice question for the following article
race/middle | T0+ | - | 25421
  ~^Is this the right answer ; Read the article and answer the question (no option) ; ^Select the best answer ;
  ^Select the best answer (generate span) ; ^Select the best answer (no instructions) ; ^Taking a test ; ~Write a
  multi-choice question (options given) ; ~Write a multi-choice question for the following article
sciq | T0 | - | 11679
  Direct Question ; Direct Question (Closed Book) ; ^Multiple Choice ; ~^Multiple Choice (Closed Book) ; ^Multiple
  Choice Question First
social_i_qa | T0 | - | 33410
  Check if a random answer is valid or not ; Generate answer ; ~Generate the question from the answer ; I was
  wondering ; ^Show choices and generate answer ; ^Show choices and generate index
super_glue/boolq | T0++ | - | 9427
  GPT-3 Style ; I wonder… ; ^after_reading ; based on the following passage ; based on the previous passage ; could
  you tell me… ; ^exam ; ^exercise ; ^valid_binary ; ^yes_no_question
super_glue/copa | T0++ | held_out | 400
  ^C1 or C2? premise, so/because… ; ^best_option ; ^cause_effect ; ^choose ; ^exercise ; ^i_am_hesitating ; ^more
  likely ; ^plausible_alternatives ; ^…As a result, C1 or C2? ; ^…What could happen next, C1 or C2? ; ^…which may be
  caused by ; ^…why? C1 or C2
super_glue/multirc | T0++ | - | 27243
  I was going to say… ; Would it be good to answer… ; ^confirm ; correct ; decide_valid ; ^found_this_answer ;
  grading ; is the correct answer… ; is… a correct answer? ; paragraph… question… is it… ?
wiki_hop/original | T0 | - | 43738
  ^choose_best_object_affirmative_1 ; ^choose_best_object_affirmative_2 ; ^choose_best_object_affirmative_3 ;
  ^choose_best_object_interrogative_1 ; ^choose_best_object_interrogative_2 ; ~explain_relation ; ~generate_object ;
  ~generate_subject ; ~generate_subject_and_object
wiqa | T0 | - | 29808
  ~does_the_supposed_perturbation_have_an_effect ; ^effect_with_label_answer ; ^effect_with_string_answer ;
  ~what_is_the_final_step_of_the_following_process ; ~what_is_the_missing_first_step ;
  ~what_might_be_the_first_step_of_the_process ; ~what_might_be_the_last_step_of_the_process ;
  ~^which_of_the_following_is_the_supposed_perturbation
piqa | T0+ | - | 16113
  ~Correct the solution ; ~Correct the solution if false: from sol 1 ; ~Correct the solution if false: from sol 2 ;
  ~^Does this solution make sense? sol1 ; ~Does this solution make sense? sol2 ; ^choose the most appropriate
  solution ; ^finish_sentence_with_correct_choice ; ~no prompt needed ; ^pick_correct_choice_index ;
  ^pick_correct_choice_with_choice_given_before_goal ; ^what_is_the_correct_ending
amazon_polarity | T0 | - | 3600000
  Is_this_product_review_positive ; ^Is_this_review ; Is_this_review_negative ; User_recommend_this_product ;
  ^convey_negative_or_positive_sentiment ; ^flattering_or_not ; ^negative_or_positive_tone ; ^user_satisfied ;
  ^would_you_buy
app_reviews | T0 | - | 288065
  ~^categorize_rating_using_review ; ~convert_to_rating ; ~convert_to_star_rating ; ~generate_review
imdb | T0 | - | 25000
  Movie Expressed Sentiment ; Movie Expressed Sentiment 2 ; ~Negation template for positive and negative ; Reviewer
  Enjoyment ; Reviewer Enjoyment Yes No ; Reviewer Expressed Sentiment ; ^Reviewer Opinion bad good choices ;
  Reviewer Sentiment Feeling ; ^Sentiment with choices ; Text Expressed Sentiment ; Writer Expressed Sentiment
rotten_tomatoes | T0 | - | 8530
  Movie Expressed Sentiment ; Movie Expressed Sentiment 2 ; Reviewer Enjoyment ; Reviewer Enjoyment Yes No ;
  Reviewer Expressed Sentiment ; ^Reviewer Opinion bad good choices ; Reviewer Sentiment Feeling ; ^Sentiment with
  choices ; Text Expressed Sentiment ; Writer Expressed Sentiment
yelp_review_full | T0 | - | 650000
  based_on_that ; format_rating ; format_score ; format_star ; on_a_scale ; so_i_would ; this_place
story_cloze/2016 | - | held_out | -
  ^Answer Given options ; ^Choose Story Ending ; ~Generate Ending ; ^Movie What Happens Next ; ^Novel Correct Ending
  ; ^Story Continuation and Options
hellaswag | T0+ | held_out | 39905
  ~^Appropriate continuation - Yes or No ; ~Open-ended completion ; ~Open-ended start ; ^Predict ending with hint ;
  ^Randomized prompts template ; ~^Reversed appropriate continuation - Yes or No ; ~Topic of the context ; ~Topic
  without the ending answer ; ^complete_first_then ; ~^how_ends ; ^if_begins_how_continues
common_gen | T0 | - | 67389
  Example prompt ; Given concepts - type 2 ; Given concepts type 1 ; Put together ; choice in concept centric
  sentence generation ; random task template prompt ; ~sentence to concepts ; ~topic to sentence ; ~topics from the
  sentence
wiki_bio | T0 | - | 582659
  ~comprehension ; ~guess_person ; ~key_content ; ~what_content ; who
cnn_dailymail/3.0.0 | T0 | - | 287113
  2_or_3_sentences ; ~generate_story ; news_card_view ; news_stock ; news_summary ; ~spice_up_story ; sum_in_brief ;
  tldr_summary ; write_an_outline
gigaword | T0 | - | 3803957
  TLDR ; first_sentence_title ; generate_summary_for_this ; in_a_nutshell ; make_a_title ; ~reverse_writing ;
  write_a_title_for_this_sentence ; ~write_an_article ; write_its_sentence
multi_news | T0 | - | 44972
  distill ; ~expand (reverse task) ; summarize ; summary scenario ; synthesize ; what are the key points
samsum | T0 | - | 14732
  Generate a summary for this dialogue ; Given the above dialogue write a summary ; Sum up the following dialogue ;
  Summarize this dialogue: ; Summarize: ; To sum up this dialog ; ~Write a dialogue that match this summary
xsum | T0 | - | 204045
  DOC_boils_down_to_simple_idea_that ; DOC_given_above_write_one_sentence ; DOC_how_would_you_rephrase_few_words ;
  DOC_tldr ; DOC_write_summary_of_above ; article_DOC_summary ; college_roommate_asked_DOC_so_I_recap ;
  read_below_DOC_write_abstract ; summarize_DOC ; summarize_this_DOC_summary
ag_news | T0 | - | 120000
  classify ; classify_question_first ; ^classify_with_choices ; ^classify_with_choices_question_first ; ^recommend ;
  which_section ; ^which_section_choices
dbpedia_14 | T0 | - | 560000
  ^given_a_choice_of_categories ; ^given_a_list_of_category_what_does_the_title_belong_to ;
  ^given_list_what_category_does_the_paragraph_belong_to ; ^pick_one_category_for_the_following_text
trec | T0 | - | 5452
  ~^fine_grained_ABBR ; ~^fine_grained_ABBR_context_first ; ~^fine_grained_DESC ; ~fine_grained_DESC_context_first ;
  ~^fine_grained_ENTY ; ~^fine_grained_HUM ; ~^fine_grained_HUM_context_first ; ~^fine_grained_LOC ;
  ~^fine_grained_LOC_context_first ; ~^fine_grained_NUM ; ~^fine_grained_NUM_context_first ; fine_grained_open ;
  fine_grained_open_context_first ; ^pick_the_best_descriptor ; ^trec1 ; ^trec2 ; ^what_category_best_describe ;
  ^which_category_best_describes
super_glue/wic | T0++ | held_out | 5428
  GPT-3-prompt ; ^GPT-3-prompt-with-label ; ^affirmation_true_or_false ; ^grammar_homework ; ^polysemous ;
  question-context ; question-context-meaning ; ^question-context-meaning-with-label ; ^same_sense ; similar-sense
"""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset and its prompts.

    Attributes:
        name: with its configuration: "glue/mrpc".
        train: the first of T0, T0+ and T0++ that trains on it; "": none.
        evaluation: "held_out", "bias" or "".
        train_rows: as T0's table has it; None where it says nothing.
        prompts: names of the prompts that ask for the dataset's own task.
        other_prompts: names of those that ask for something else with its fields.
        with_choices: names of those, of both kinds, that list the answer choices (promptsource's `choices_in_prompt`).
    """

    name: str
    train: str
    evaluation: str
    train_rows: int | None
    prompts: tuple[str, ...]
    other_prompts: tuple[str, ...]
    with_choices: frozenset[str]


def _parse(table: str) -> tuple[Dataset, ...]:
    found: list[tuple[str, str]] = []
    for line in table.strip().splitlines():
        if line.startswith("  "):
            head, body = found[-1]
            found[-1] = (head, f"{body} {line.strip()}")
        else:
            found.append((line, ""))
    return tuple(_dataset(head, body) for head, body in found)


def _dataset(head: str, body: str) -> Dataset:
    name, train, evaluation, rows = head.split(" | ")
    marked = body.strip().split(" ; ")
    marks = {prompt.lstrip("~^"): prompt[:2] for prompt in marked}
    return Dataset(
        name=name,
        train="" if train == "-" else train,
        evaluation="" if evaluation == "-" else evaluation,
        train_rows=None if rows == "-" else int(rows),
        prompts=tuple(prompt for prompt, mark in marks.items() if "~" not in mark),
        other_prompts=tuple(prompt for prompt, mark in marks.items() if "~" in mark),
        with_choices=frozenset(prompt for prompt, mark in marks.items() if "^" in mark),
    )


DATASETS = {dataset.name: dataset for dataset in _parse(_TABLE)}


def trained_by(mixture: str) -> tuple[Dataset, ...]:
    """The datasets that "T0", "T0+" or "T0++" trains on: each has those of the one before it too."""
    known = PUBLISHED[: PUBLISHED.index(mixture) + 1]
    return tuple(dataset for dataset in DATASETS.values() if dataset.train in known)


def evaluated(what: str) -> tuple[Dataset, ...]:
    """The datasets of "held_out" or "bias"."""
    return tuple(dataset for dataset in DATASETS.values() if dataset.evaluation == what)
