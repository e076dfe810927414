"""For each kind of finding a sentence on why the gradient breaks there, and one on what to do."""

HARD = (  # in place of the words for "draw"
    "Here a hard choice is made of what is drawn ({draw}): it jumps as {argument} moves, and JAX "
    "returns the silent gradient 0 where that of the expectation is not."
)
WORDS = {
    "unused": (
        "The output does not depend on {argument}, so its gradient is zero.",
        "Use it in the function, or leave it out of argnums.",
    ),
    "stop_gradient": (
        "stop_gradient ends every path from {argument} to the output.",
        "Remove it, or put it only on what is not to be trained (argnums leaves an argument out).",
    ),
    "integer": (
        "A conversion to integers or booleans has no derivative, and {argument} has no other path.",
        "Keep it a float, or give the rounding a derivative: sn.estimators.straight_through.",
    ),
    "comparison": (
        "A comparison is constant but for a jump: its derivative is zero, and {argument} has no "
        "other path.",
        "Use a smooth step such as jax.nn.sigmoid((x - t) / width), or draw the decision and use "
        "sn.estimators.score_function.",
    ),
    "rounding": (
        "floor, ceil, round and sign are constant between their jumps: the derivative is zero, and "
        "{argument} has no other path.",
        "Pass the gradient straight through, x + stop_gradient(round(x) - x), or add uniform noise "
        "in training.",
    ),
    "argmax": (
        "An index (argmax, argsort, top_k) is an integer and has no derivative in {argument}, "
        "which has no other path.",
        "Use jax.nn.softmax, or draw the index and use sn.estimators.leave_one_out.",
    ),
    "draw": (
        "The draw ({draw}) is discrete: it does not move with {argument}, and JAX returns the "
        "silent gradient 0 where that of the expectation is not.",
        "Use sn.estimators.enumerate_support, leave_one_out, score_function or measure_valued "
        "(unbiased), or straight_through (biased).",
    ),
    "biased_sampler": (
        "{draw} chooses between two roots with a probability that depends on {argument}, and the "
        "choice is differentiated as if it did not: the gradient is biased (0.166 for 0.146).",
        "Use sn.random.wald, which has the same signature and an unbiased gradient.",
    ),
    "refused": (
        "Differentiating this with respect to {argument} raises an error: {why}",
        "For a discrete draw use sn.estimators; otherwise give the function a derivative with "
        "jax.custom_jvp.",
    ),
    "while_loop": (
        "JAX has no reverse derivative of a while_loop, and the path from {argument} goes through "
        "one: jax.grad raises here.",
        "Use lax.scan or a fori_loop with a fixed number of steps; for a rejection sampler "
        "sn.random has one with a derivative, or sn.random.reparameterize(sampler, cdf).",
    ),
    "custom_rule": (
        "The derivative rule written for this function (custom_jvp or custom_vjp) returns zeros "
        "for {argument}.",
        "Return its derivative from the rule, or remove the rule and let JAX derive it.",
    ),
    "zero_factor": (
        "{argument} is multiplied by a constant zero, and so is its gradient.",
        "Remove the factor, or make it a number other than zero.",
    ),
    "no_derivative": (
        "This operation has no derivative in {argument}, which has no other path to the output.",
        "Replace it by a differentiable one, or give it a rule with jax.custom_jvp.",
    ),
    "where_nan": (
        "The where keeps a bad value out of the result but not out of the gradient: {operation}, "
        "and in the branch that is not taken 0 times infinity is NaN.",
        "Guard the operand as well: where(x > 0, sqrt(where(x > 0, x, 1)), 0). sn.Gaussian does "
        "so for variances.",
    ),
    "singular": (
        "{operation}, and {where}.",
        "Keep the operand away from 0 with + eps or jax.nn.softplus; sn.Gaussian(mean, var) draws "
        "with a finite gradient at zero variance.",
    ),
    "negative": (
        "{operation}, and {where}.",
        "Put jax.nn.softplus or jnp.exp on it first (sn.nn.GaussianHead does for variances).",
    ),
    "nan": (
        "The gradient of {argument} is not finite {at} ({share} of its entries over all keys).",
        "Run it under jax.debug_nans(True) to see where it first appears, and keep that operand in "
        "the domain of its function.",
    ),
    "saturated": (
        "Every element here is in a flat region ({operation}), where the derivative is zero: "
        "nothing reaches {argument}.",
        "Widen the bounds, scale the input down, or use a function that does not saturate.",
    ),
    "clipped": (
        "{share} of the elements are outside the bounds of this clip, where its derivative is 0.",
        "Widen the bounds, or use a smooth map onto the interval (sigmoid, tanh, softplus).",
    ),
    "zero_gradient": (
        "The gradient of {argument} is exactly zero for every key, though a path exists: a factor "
        "on it is zero at this point.",
        "Nothing, if a layer starts at zero on purpose; otherwise check at another point.",
    ),
    "bias": (
        "The mean gradient of {argument} is not that of the mean: {figures}.",
        "Look for a custom derivative rule, a hard choice or a stop_gradient on the path, or use "
        "an unbiased estimator of sn.estimators.",
    ),
    "key_reuse": (
        "One key is used {count} times ({places}): the draws are the same numbers, or dependent.",
        "Split it first, key1, key2 = jax.random.split(key), and use each part once.",
    ),
    "loop_key": (
        "The key is the same in every step of the loop, and so is the noise ({draw}).",
        "Scan over jax.random.split(key, steps), or use jax.random.fold_in(key, step).",
    ),
    "shared_key": (
        "The key is not mapped over: {draw} gives every row of the vmap (or shard) the same noise.",
        "Map over one key an example: jax.vmap(f)(x, jax.random.split(key, len(x))); in shard_map "
        "use fold_in(key, jax.lax.axis_index(name)).",
    ),
    "constant_key": (
        "The key of {draw} is fixed in the code: the noise is the same in every call.",
        "Take the key as an argument and pass it down.",
    ),
    "low_precision": (
        "{draw} draws its noise in {dtype}: {count}, and its mean is off by many standard errors.",
        "Draw in float32 and cast the result; sn.random.normal does for every dtype.",
    ),
    "opaque": (
        "A Pallas kernel is opaque: what is inside is not walked, and its derivative rule, if it "
        "has one, is only measured.",
        "Compare it with the same in jax.numpy.",
    ),
}
