"""Which cases of the longest sweeps `make test` takes; `make test-slow` takes the rest.

A case costs a second or so for what it makes TensorFlow or LiteRT compile. Each table
here is swept in full by `make test-slow`.
"""

import gc

import pytest

# Tracing makes objects by the million, and looking for cycles among them takes a tenth
# of the time.
gc.set_threshold(100_000, 50, 50)


@pytest.fixture(scope="module", autouse=True)
def looked_through():
    """What is left of a file is not looked through again.

    The converter collects garbage each time, which takes seconds once TensorFlow's
    graphs of many tests are there.
    """
    yield
    gc.collect()
    gc.freeze()


#: The longest files, which begin first: at the end a worker would wait for them.
FIRST = ("test_distribution", "test_training", "test_examples", "test_rounds")
FIRST += ("test_sets_training", "test_resume", "test_reporting", "test_compression")
#: Of each test: every n-th case; 0 for none.
EVERY = {
    "test_a_budget_is_met_to_within_a_weight": 4,
    "test_a_budget_over_all_layers": 0,
    "test_a_group_can_be_pruned_if_its_constant_can_go": 12,
    "test_a_lone_scale_by_a_sample_is_near": 3,
    "test_a_round_trains_within_what_was_given_back": 2,
    "test_a_saved_model_agrees_with_keras": 3,
    "test_all_pairs_of_metric_and_schedule_train": 0,
    "test_an_onnx_file_agrees_with_keras": 5,
    "test_arena_of_files": 3,
    "test_as_kernel_constraint": 3,
    "test_average_at_the_hand_over_is_not_zero": 0,
    "test_averages_are_put_back_by_a_second_call": 0,
    "test_axes": 2,
    "test_bad_input_is_one_clear_error_and_nothing_is_written": 6,
    "test_bad_input_is_one_line_that_names_the_flag": 2,
    "test_batch_sizes": 0,
    "test_best_checkpoint_across_the_hand_over": 2,
    "test_bytes_are_those_of_the_files": 2,
    "test_centroids_of_large_kernels_do_not_drift": 4,
    "test_channels_come_back_whole": 0,
    "test_channels_go_through": 3,
    "test_channels_go_through_a_shuffle": 2,
    "test_channels_stay": 2,
    "test_clusters_of_more_weights_than_a_product_of_two_ints_holds": 0,
    "test_compress_judges_by_statistics_of_the_weights_as_they_are": 0,
    "test_counted_of_a_dtype": 2,
    "test_counts_follow_the_schedule": 2,
    "test_datasets": 3,
    "test_dead_channels_behind_a_layer": 4,
    "test_dead_channels_behind_an_operation": 6,
    "test_dead_channels_go": 9,
    "test_dead_filters_go": 3,
    "test_dead_units_of_unstructured_pruning_go": 4,
    "test_dtype_is_kept_and_compiled_is_eager": 5,
    "test_dynamic_range_is_wrong_or_does_not_run": 2,
    "test_each_kind_of_set_is_met_and_loses_less_than_a_projection": 3,
    "test_early_stopping_in_the_admm_phase": 2,
    "test_early_stopping_of_retraining": 2,
    "test_encoding_takes_time_in_proportion_to_the_layers": 0,
    "test_every_step_is_as_by_hand": 2,
    "test_exact_count_under_ties": 3,
    "test_existing_file_survives_a_wrong_dense_file": 0,
    "test_f_is_the_mean_squared_gradient_of_the_task": 2,
    "test_few_rows_to_judge_by_are_told": 0,
    "test_file_agrees_with_keras": 4,
    "test_fresh_optimizer_retrains_as_a_new_one": 0,
    "test_half_goes_of_models_as_written": 4,
    "test_half_of_the_channels_go": 3,
    "test_histories": 4,
    "test_identity_on_members": 3,
    "test_identity_on_members_of_any_magnitudes": 3,
    "test_include_reaches_embeddings": 0,
    "test_inputs_and_outputs_in_int8": 3,
    "test_inspection_of_kernels_of_zeros_only": 0,
    "test_jit_is_eager": 2,
    "test_kernels_of_all_kinds": 4,
    "test_keys": 3,
    "test_large_groups": 8,
    "test_large_kernels_are_worked_on_compiled_too": 2,
    "test_learning_rate_of_ones_own": 2,
    "test_learning_rate_returns_to_its_beginning": 2,
    "test_methods": 4,
    "test_metrics_of_a_regression": 3,
    "test_mixed_precision_computes_in_float32": 0,
    "test_mobilenet": 0,
    "test_names_of_inputs_and_outputs": 0,
    "test_no_mask_is_nearer_in_the_norm_of_the_curvature": 0,
    "test_no_member_is_nearer": 3,
    "test_no_optimizer_moves_a_dead_channel": 3,
    "test_no_optimizer_moves_a_zero": 2,
    "test_no_worse_than_the_nearest_member": 3,
    "test_not_finite_is_an_error_that_names_the_layer": 4,
    "test_nothing_moves_a_zero": 2,
    "test_of_any_model": 2,
    "test_of_many_kernels": 0,
    "test_one_input_or_output_stays_in_its_structure": 3,
    "test_one_kernel": 2,
    "test_one_warning_at_the_hand_over_says_what_to_change": 4,
    "test_optimizer_sees_no_gradient_of_a_zero": 3,
    "test_optimizer_starts_afresh": 2,
    "test_plan_counts_what_admm_will_keep": 2,
    "test_policies": 3,
    "test_precision_and_one_trace": 0,
    "test_projection_is_feasible_and_idempotent": 5,
    "test_projection_is_the_naive_one": 3,
    "test_restrict_is_a_projection_on_what_is_frozen": 3,
    "test_rho_zero_is_plain_keras_weighted": 0,
    "test_same_outputs_by_other_operators": 3,
    "test_scores_behind_a_mask_are_numbers_in_int8": 2,
    "test_sensitivity_takes_from_what_does_not_matter": 0,
    "test_several_devices_agree_with_one": 0,
    "test_several_inputs_and_outputs": 3,
    "test_shrunk_as_by_hand": 2,
    "test_softmax_over_several_axes_is_one": 3,
    "test_sparse_file_agrees_with_keras": 5,
    "test_states_run_on_from_zero_in_the_file": 3,
    "test_states_start_afresh": 0,
    "test_statistics_that_do_not_follow_are_told": 3,
    "test_tflite_file_is_as_accurate_as_the_report_says": 0,
    "test_the_budget_is_what_is_left": 0,
    "test_the_code_of_a_page": 4,
    "test_the_contract": 3,
    "test_the_cut_is_evaluated_on_what_keras_validates_on": 3,
    "test_the_exact_search_takes_a_sample_of_large_kernels": 0,
    "test_the_grid_is_near": 4,
    "test_the_mathematics_on_another_backend": 3,
    "test_the_nearest_member": 4,
    "test_the_recipes_are_constraints": 0,
    "test_the_states_of_the_model_are_left_as_they_were": 2,
    "test_the_stock_converter_drops_columns": 3,
    "test_three_kernels": 4,
    "test_trained_and_shrunk": 3,
    "test_training_begins_at_the_highest_rate_that_there_was": 2,
    "test_training_ends_in_the_set": 3,
    "test_training_to_exact_sparsity_and_freezing": 0,
    "test_two_fits": 2,
    "test_units_are_dead_on_both_sides": 0,
    "test_updates_by_steps": 3,
    "test_updates_by_steps_of_unknown_number": 2,
    "test_updates_wait_for_the_weights": 0,
    "test_weighted_samples": 0,
    "test_weights_are_as_they_were": 3,
    "test_weights_of_another_model": 3,
    "test_what_a_block_does_in_training_is_not_lost": 2,
    "test_what_a_cut_would_cost": 2,
    "test_what_a_layer_keeps_to_itself_goes": 3,
    "test_what_fails_without_avx_is_warned_of": 6,
    "test_what_is_not_in_its_set_is_an_error": 0,
    "test_what_is_pooled_behind_a_mask_is_in_int8": 4,
    "test_what_is_shrunk_is_shrunk_again": 3,
    "test_what_tflite_lacks_is_named": 2,
    "test_where_a_sample_is_sorted": 6,
    "test_where_a_sample_is_sorted_compiled": 4,
    "test_zeros_stay_without_the_wrapper": 0,
    "test_zeros_that_have_come_since_are_frozen_too": 0,
    # The other two have a battery of their own, `test_any_backend.py`.
}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.stem not in FIRST)
    seen = {}
    for item in items:
        if item.get_closest_marker("slow"):
            continue
        function = getattr(item, "originalname", item.name)
        step, place = EVERY.get(function, 1), (item.path, function)
        seen[place] = seen.get(place, -1) + 1
        if step == 0 or seen[place] % step:
            item.add_marker(pytest.mark.slow)
